"""What people do in a conversation, whatever it is about: yes, never mind, not that (English).

All lines are as `parts.text.entities.read` gives them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILLERS = _words(
    "please pls thanks thank ok okay well so um uh hm hmm oh ah and then just now um er hi hello "
    "hey there you very much really actually kindly"
)
YES = _words(
    "yes y ya yeah yea yep yup sure correct right exactly fine perfect great good agreed confirm "
    "confirmed absolutely definitely certainly affirmative indeed ok okay k 👍 ✅ ja si oui"
) | {
    "please do", "go ahead", "do it", "of course", "sounds good", "looks good", "that's right",
    "that is right", "that's correct", "that is correct", "all good", "book it", "that's fine",
    "that works", "go for it", "let's do it", "i do", "yes i do", "it is", "i confirm", "why not",
    "all right", "alright", "very good", "please", "yes please do", "i would", "i'd love to",
    "no problem", "no worries",
}  # fmt: skip
# A yes alone; before more words they may begin anything: "correct the email", "right, and then".
YES_ALONE = _words("correct exactly right sure confirm")
OBJECTS = re.compile(r"\b(?:wait|hold on|not|dont|never|cancel|stop|but|if|unless|later)\b|n't\b")
NO = _words("no n nope nah not negative wrong incorrect never nay 👎 nein non") | {
    "not really", "don't", "do not", "rather not", "i'd rather not", "better not", "no way",
    "not now", "that's wrong", "that is wrong", "not right", "that's not right", "not correct",
    "that is not right", "not quite", "not at all", "please don't", "i don't", "no don't",
    "no i don't", "don't do it", "do not do it", "i don't think so",
    "that's not correct", "not like that",
}  # fmt: skip
CORRECTS = re.compile(
    r"^(?:no|nope|not|wrong|wait|sorry|oops|actually)\b|"
    r"\b(?:actually|i meant?|i said|instead|rather|correction|make (?:it|that)|change|changed|move|"
    r"switch|sorry|oops)\b"
)
ALSO = re.compile(r"^(?:and|or|what about|how about|what if)\b")
CANCELS = re.compile(
    r"(?:no |ok |okay |oh |actually |please |sorry |i want to |i'd like to |can we |let's )*"
    r"(?:cancel|stop|abort|quit|exit|nevermind|never mind|forget (?:it|that|about it|everything)|"
    r"leave it|drop it|scrap (?:it|that)|(?:i've |i have |i )?changed my mind|"
    r"i don'?t want (?:to|it|this|that)(?: any ?more)?|not any ?more|no longer(?: needed)?)"
    r"(?: (?:it|that|this|everything|all|here|please|now|then|thanks|thank you|any ?more|"
    r"the (?:form|booking|order|request)|this (?:form|booking|order|request)))*"
)
RESTARTS = re.compile(
    r"(?:please |can we |let's |let us |i want to )*(?:start (?:over|again|anew)|restart|reset|"
    r"begin again|from the (?:start|beginning))(?: please)?"
)
SHRUGS = re.compile(
    r".*\b(?:don'?t (?:mind|care)|do not (?:mind|care)|no preference|whatever|"
    r"(?:doesn'?t|does not) matter|any(?:thing)?(?: is fine| will do)?|either|up to you|"
    r"you choose|skip|default|no idea|don'?t know|do not know|not sure|dunno|none|usual)\b.*"
)
ASKS = re.compile(
    r"(?:(?:and|ok|okay|so|but|also|by the way|btw|one more (?:thing|question)|wait|hang on|sorry|"
    r"before that|first)[ ,:]+)*"
    r"(?:what|when|where|which|who|whose|why|how|is|are|was|do|does|did|can|could|will|would|should|"
    r"may|might|have you|has|tell me|i(?:'d like| want| need) to know|i wonder)(?:'s|'re)?\b"
)
# Between a negation and what it negates: "I don't want you to ever cancel my booking".
_GAP = (
    r"(?:(?:want|wanted|wish|need|like|going|plan|planning|intend|mean|think|care|ask|asked|asking|"
    r"try|trying)(?: (?:you|them|us|me))?|have to|to|please|the|a|an|my|our|any|ever|just|actually|"
    r"really|even|that|this|it|for) "
)
_NEGATION = (
    r"(?<![\w'])(?:do not|don'?t|dont|wouldn'?t|would not|never|not|"
    rf"no need|no longer|didn'?t (?:want|ask|mean|intend)) (?:{_GAP}){{0,5}}"
)
_DENIAL = re.compile(r"\b(?:not|don't (?:want|mean|need))(?: (?:on|at|for|the|a|an|to|from))* ?$")
_ASKING = frozenset({"if", "why", "unless", "because", "whether"})
_NO_WISH = _words(
    "can could did does do is are was has have had will would who when or still yet what he she it "
    "they"
)
STOP = _words(
    "the and for you your can could have has with what when where how are is do does our my would "
    "like want need please there this that from about any some get me we i to a an of in on at it "
    "one not don't much many tell know will be"
)
FEW = 10  # words of a line in which a phrase is what it is about
KEY_SHARE = 0.08  # of an intent's examples that have a word, which makes it a key word


def bare(line: str) -> str:
    """A line without what is polite or hesitant about it, and without signs around it."""
    words = _words_of(line)
    while words and words[0] in FILLERS:
        words.pop(0)
    while words and words[-1] in FILLERS:
        words.pop()
    return " ".join(words)


def yes_or_no(line: str) -> bool | None:
    """Whether somebody says yes or no, and nothing else; None where neither, or both."""
    clauses = [clause for clause in re.split(r"[,.;!]| and ", line) if bare(clause)]
    if len(clauses) > 1:  # "that's fine, book it"
        answers = {yes_or_no(clause) for clause in clauses}
        if len(answers) == 1:
            return answers.pop()
    words = [
        word if word in YES | NO else word.rstrip(word[-1]) + word[-1] for word in _words_of(line)
    ]
    said = {" ".join(words), bare(line)}
    for answer, known in ((False, NO), (True, YES)):
        if said & known or (set(words) & known and set(words) <= known | FILLERS):
            return answer
    return None


def begins_with(line: str, own: Iterable[str] = ()) -> bool | None:
    """Whether what somebody says begins with a yes or a no; None for questions and objections.

    Args:
        line: What was said.
        own: Words that are no objection: "yes, cancel it" where something is to be cancelled.
    """
    if asks(line):
        return None
    words = (bare(line) or line).split()
    if words[:2] in (["no", "problem"], ["no", "worries"]):
        answer: bool | None = True
    elif words and words[0] in YES_ALONE:
        answer = yes_or_no(" ".join(words[1:]))
    else:
        first = words[0] if words else ""
        answer = True if first in YES else False if first in NO else None
    return None if answer and set(OBJECTS.findall(line)) - set(own) else answer


def cancels(line: str) -> bool:
    """Whether somebody wants to end what was begun, and says nothing else."""
    return bool(CANCELS.fullmatch(_unsigned(line)))


def restarts(line: str) -> bool:
    """Whether somebody wants to begin anew."""
    return bool(RESTARTS.fullmatch(_unsigned(line)))


def shrugs(line: str) -> bool:
    """Whether somebody leaves a choice to the desk."""
    return bool(SHRUGS.fullmatch(line)) and len(line.split()) <= 8


def asks(line: str) -> bool:
    """Whether a line is a question, by its sign or its first words."""
    return line.endswith("?") or bool(ASKS.match(line))


def corrects(line: str) -> bool:
    """Whether a line takes something back: "no, Tuesday", "make it four"."""
    return bool(CORRECTS.search(line))


def adds(line: str) -> bool:
    """Whether a line goes on with what was just answered: "and on Sunday?"."""
    return bool(ALSO.match(line))


def says(line: str, phrases: Iterable[str], whole: bool) -> bool:
    """Whether a line is, or (not `whole`) in a few words holds, one of the phrases.

    `yes` and `no` among them stand for every way to say so.
    """
    said, answer = f" {_unsigned(line)} ", yes_or_no(line)
    for phrase in phrases:
        plain = _unsigned(phrase.lower())
        if plain in ("yes", "no") and answer is not None:
            if answer == (plain == "yes"):
                return True
        elif f" {plain} " in said:
            rest = set(said.replace(f" {plain} ", " ", 1).split())
            if rest <= FILLERS or (not whole and len(said.split()) <= FEW):
                return True
    return False


def denied(line: str, start: int) -> bool:
    """Whether what begins there is what somebody does not mean: "not Monday"."""
    return bool(_DENIAL.search(line[:start]))


def key_words(examples: Sequence[str], name: str = "") -> frozenset[str]:
    """The words that an intent is said with: those of several examples, and of its name."""
    counts = Counter(
        word for text in examples for word in set(re.findall(r"[^\W\d_]{3,}", text.lower()))
    )
    least = max(2, KEY_SHARE * len(examples))
    often = {word for word, count in counts.items() if count >= least}
    keys = (often | set(re.findall(r"[^\W\d_]{3,}", name.lower()))) - STOP
    # What is said of an intent in negated examples ("it is not working") is no wish against it.
    own = {word for text in examples for word in keys if negates(text.lower(), {word})}
    return frozenset(keys - own)


def negates(line: str, keys: Iterable[str]) -> bool:
    """Whether a line wishes that something is not done: "please don't cancel my room".

    Args:
        line: What was said.
        keys: The words for it; their other forms count too.
    """
    stems = "|".join(re.escape(key[: max(4, len(key) - 3)]) for key in keys)
    if not stems:
        return False
    for match in re.finditer(rf"{_NEGATION}(?:{stems})\w*", line):
        before = line[: match.start()].split()
        asked = _ASKING & set(before) or {"did", "have"} & set(before[-2:])
        if not asked and not _NO_WISH & set(before[-1:]):
            return True
    return False


def _unsigned(line: str) -> str:
    """A line without punctuation, but for apostrophes."""
    return " ".join(re.sub(r"[^\w\s'👍👎✅-]", " ", line).split())


def _words_of(line: str) -> list[str]:
    words = (word.strip('.,;:!?"()“”…') for word in line.split())
    return [word for word in words if word]
