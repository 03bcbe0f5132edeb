"""Figures as ratios against a limit or a peer, measured in the same run. `./run bench` prints them."""
