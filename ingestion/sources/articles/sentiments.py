"""Words of English that praise or blame, for a first impression of an article's tone."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOOD = _words(
    """
    able accept acclaimed achieve achieved achievement admire advance advantage agree amazing
    applaud approve award awarded beautiful benefit benefits best better boost breakthrough bright
    brilliant calm celebrate celebrated certain champion cheer cheerful clean clear comfort
    comfortable confidence confident cure dear delight delighted dependable ease easily easy
    effective efficient elegant encourage encouraging enjoy enjoyed excellent exciting fair faithful
    famous fast favorite favourite fine flourish fortunate free fresh friendly fun gain gained gains
    generous gift glad good grateful great grew grow growing growth happy harmony healthy help
    helped helpful honest honour hope hopeful improve improved improvement improving innovative
    inspire inspiring joy keen kind leading love loved loyal lucky modern nice outstanding peace
    perfect pleasant pleased pleasure popular positive praise praised profit profitable progress
    promising prosper protect proud punctual quality record recover recovered recovery reliable
    relief remarkable rescue rescued resilient respect restore restored rich robust safe safely
    safer satisfied secure smart smooth smoothly solid solve solved splendid stable strength strong
    stronger succeed succeeded success successful superb support supported surpass sweet thank
    thrive thriving top triumph trust trusted useful valuable victory warm welcome welcomed win wise
    won wonderful worthy
    """
)
BAD = _words(
    """
    abandon abandoned abuse accident accuse accused afraid alarm anger angry annoying anxious attack
    attacked awful bad ban bankrupt bankruptcy banned blame blamed bleak breach broke broken burden
    cancel cancelled chaos cheat clash collapse collapsed collision complain complained complaint
    concern concerned condemn condemned conflict corrupt corruption costly crash crashed crime
    crisis critical criticise criticised criticism cruel cut cuts damage damaged damages danger
    dangerous dead death debt decline declined defeat defect delay delayed delays denied deny
    despair destroy destroyed die died dirty disappoint disappointed disappointing disaster disease
    dispute doubt drop dropped drown drowned emergency enemy error evil explosion fail failed
    failing fails failure fall fault faulty fear fears fell fight fined flaw flawed flood flooded
    fraud guilty harm harmful hate horrible hostile hurt ill illegal inferior injured injury kill
    killed lack late lawsuit layoff layoffs leak lie lose loses losing loss losses lost mistake
    negative neglect outage outrage pain painful panic penalty pollution poor poorly problem
    problems protest recall reject rejected risk risks risky ruin ruined rust sad sank scandal scare
    severe shame shock shortage shut sick sink slow slump spoil steal strike struggle struggled
    suffer suffered terrible terror theft threat threaten threatened tired tragedy tragic trouble
    ugly unable unfair unhappy unreliable unsafe upset victim violence violent war warn warned
    warning waste weak weaker worried worry worse worst wound wounded wrong
    """
)
NEGATIONS = _words(
    """
    aren't can't cannot couldn't didn't doesn't don't hadn't hardly hasn't haven't isn't neither
    never no nor not scarcely shouldn't wasn't weren't without won't wouldn't
    """
)
REACH = 3  # words after a negation that it turns
DAMPING = 3.0  # so that one word makes no opinion


def sentiment(words: list[str]) -> float:
    """Return the tone of English words, from -1 to 1."""
    good = bad = 0
    turned = 0
    for word in words:
        if word in NEGATIONS:
            turned = REACH
            continue
        sign = (word in GOOD) - (word in BAD)
        if sign and turned:
            sign = -sign
        good, bad = good + (sign > 0), bad + (sign < 0)
        turned = max(0, turned - 1)
    return round((good - bad) / (good + bad + DAMPING), 4)
