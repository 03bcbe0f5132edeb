"""Where live changes are read. Apart from what answers there: who only asks need not load the server."""

SOCKET = "/ws/live/"
HTTP = "/api/live"
