"""One turn of a conversation: a state and what was said in, the next state and a reply out.

`step` is a pure function. A conversation can be kept as its state, or replayed from what the user
said: both come to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from . import acts
from .desk import Desk, Intent, Saying
from .entities import read
from .filling import Form, Heard, accepts, begin, put
from .slots import default_of, expectation, fill, resolved, say
from .understanding import Guess

SURE = 0.5  # probability from which another intent interrupts a form
VERY_SURE = 0.7  # from which it is none of what the last answer might be followed by
UNSURE = 0.4  # below it is asked which of the two likeliest was meant
MAX_FORMS = 3  # that wait for each other


class State(BaseModel):
    """All that has to be kept of a conversation.

    Attributes:
        forms: Those that are being filled; the last one is talked about, the others wait.
        last: The intent that was answered last, for what follows from it.
        offered: Intents between which the user was asked to choose.
        misses: Turns in a row that were not understood.
        handed_over: Whether a person goes on.
        said: The last reply.
    """

    forms: list[Form] = []
    last: Form | None = None
    offered: list[str] = []
    misses: int = 0
    handed_over: bool = False
    said: str = ""


class Found(BaseModel):
    """An entity as it is told to others: its kind, its likeliest value, and how it was said."""

    model_config = ConfigDict(frozen=True)

    kind: str
    value: str | None
    text: str


class Reply(BaseModel):
    """What is answered, and why.

    Attributes:
        text: The answer.
        intent: What it is about; None where nothing was understood.
        by_guess: Whether the classifier decided that, rather than the conversation.
        understood: Whether the turn was.
        completed: The intent that was answered in this turn, with all of its slots.
        slots: Values of the form that is talked about, or of the completed one.
        entities: What was found in the text.
        handed_over: Whether a person goes on.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    intent: str | None
    by_guess: bool
    understood: bool
    completed: str | None
    slots: dict[str, str]
    entities: list[Found]
    handed_over: bool


def step(desk: Desk, state: State, text: str, guess: Guess, now: datetime) -> tuple[State, Reply]:
    """Answers one message.

    Args:
        desk: What the bot knows.
        state: Of the conversation so far; it is not changed. `State()` begins one.
        text: What the user said.
        guess: What that was taken for.
        now: What "tomorrow" is counted from.

    Returns:
        The state after it, and the reply.
    """
    turn = _Turn(desk, state, text, guess, now)
    said = turn.answer()
    turn.state.said = said
    return turn.state, turn.reply(said)


class _Turn:
    """One turn; each of its readings gives a reply, or None where it does not apply.

    Attributes:
        state: A copy of the state, which becomes the next one.
    """

    def __init__(self, desk: Desk, state: State, text: str, guess: Guess, now: datetime) -> None:
        self.desk, self.guess, self.now = desk, guess, now
        self.state = _fitting(desk, state)
        asked = self.form.asked if self.form else None
        kind = self.intent_of(self.form).slots[asked].kind if self.form and asked else ""
        self.heard = Heard.of(desk, text, now, expected=kind)
        self.about: str | None = self.form.intent if self.form else None
        self.by_guess = False
        self.understood = True
        self.completed: Form | None = None

    @property
    def form(self) -> Form | None:
        """The form that is talked about."""
        return self.state.forms[-1] if self.state.forms else None

    def intent_of(self, form: Form) -> Intent:
        """What the form belongs to."""
        return self.desk.intents[form.intent]

    def reply(self, text: str) -> Reply:
        """What is told of the turn."""
        shown = self.completed or self.form
        return Reply(
            text=text,
            intent=self.about if self.understood else None,
            by_guess=self.by_guess,
            understood=self.understood,
            completed=self.completed.intent if self.completed else None,
            slots=resolved(self.intent_of(shown), shown.slots) if shown else {},
            entities=[
                Found(kind=e.kind, value=next(iter(e.readings), None), text=e.text.strip())
                for e in self.heard.entities
            ],
            handed_over=self.state.handed_over,
        )

    def answer(self) -> str:
        """The reply: of the readings below the first that applies."""
        offered, self.state.offered = self.state.offered, []
        return (
            self._after_hand_over()
            or self._small_talk()
            or self._once_more()
            or self._ended()
            or self._chosen(offered)
            or self._followed_up()
            or (self._in_form(self.form) if self.form else self._said_against())
            or self._elliptic()
            or self._guessed()
            or self._missed()
        )

    # What holds at any time.

    def _after_hand_over(self) -> str | None:
        if not self.state.handed_over:
            return None
        if acts.restarts(self.heard.line):
            self.state = State()
            return self.desk.phrases.fresh
        return self.desk.phrases.waiting

    def _small_talk(self) -> str | None:
        for saying in self.desk.small_talk:
            if acts.says(self.heard.line, saying.says, whole=True):
                return self._follow(saying)
        return None

    def _once_more(self) -> str | None:
        return self.state.said or None if acts.repeats(self.heard.line) else None

    def _ended(self) -> str | None:
        """Never mind; start over."""
        if acts.restarts(self.heard.line):
            if self.form:
                self.form.slots.clear()
                return self._next(self.form)
            self.state = State()
            return self.desk.phrases.fresh
        if self.form and acts.cancels(self.heard.line):
            return self._dropped(self.form, self.desk.phrases.cancelled)
        return None

    def _dropped(self, form: Form, phrase: str) -> str:
        self.state.forms.remove(form)
        self.state.misses = 0
        said = fill(phrase, {"title": self.desk.title(form.intent)})
        return self._and_back(said if self.form else f"{said} {self.desk.phrases.anything_else}")

    def _chosen(self, offered: Sequence[str]) -> str | None:
        """Which of the two that were offered: the first, yes, or the other one."""
        if not offered:
            return None
        line = acts.bare(self.heard.line)
        if acts.yes_or_no(self.heard.line) or line in (
            "first",
            "the first",
            "the first one",
            "1",
            "one",
        ):
            return self._open(offered[0])
        if line in (
            "second",
            "the second",
            "the second one",
            "2",
            "two",
            "the latter",
            "the other",
        ):
            return self._open(offered[1])
        return None

    def _said_against(self) -> str | None:
        """Please don't cancel."""
        intent = self.guess.intent
        values = {word for entity in self.heard.entities for word in entity.text.split()}
        keys = _keys(self.desk.intents[intent].examples, intent) - values
        if not acts.negates(self.heard.line, keys):
            return None
        self.about, self.by_guess = intent, True
        if self.form and self.form.intent == intent:
            return self._dropped(self.form, self.desk.phrases.cancelled)
        if self.state.last and self.state.last.intent == intent and self.state.last.slots:
            return fill(self.desk.phrases.done_already, {"title": self.desk.title(intent)})
        self.state.misses = 0
        return self._and_back(self.desk.phrases.left_alone)

    # What follows from the last answer.

    def _followed_up(self) -> str | None:
        """What may be said right after an answer."""
        last = self.state.last
        if last is None:
            return None
        for saying in self.intent_of(last).follow_ups:
            whole = self._is_about_else(last.intent, VERY_SURE)
            if self.form and {"yes", "no"} & set(saying.says):
                continue
            if acts.says(self.heard.line, saying.says, whole):
                self.about, self.by_guess = last.intent, False
                return self._follow(saying, last)
        return None

    def _follow(self, saying: Saying, last: Form | None = None) -> str:
        self.state.misses = 0
        if saying.intent is None:
            return self._and_back(saying.answer or "")
        return self._open(saying.intent, last)

    def _elliptic(self) -> str | None:
        """And dinner? No, Tuesday: the last intent once more, with another value."""
        last = self.state.last
        if self.form or last is None or not last.slots:
            return None
        leads = acts.adds(self.heard.line) or acts.corrects(self.heard.line)
        rest = len(self.heard.content())
        if self._is_about_else(last.intent, VERY_SURE) and rest > 1:
            return None
        if not leads and self.guess.known and rest > 1:
            return None
        form = Form(intent=last.intent, slots=dict(last.slots))
        touched, problem = put(self.heard, form)
        if not touched and not problem:
            return None
        self.state.forms.append(form)
        self.about, self.by_guess = last.intent, False
        return problem or self._next(form)

    # Within a form.

    def _in_form(self, form: Form) -> str | None:
        else_ = self._is_about_else(form.intent, SURE)
        if else_ and (acts.asks(self.heard.line) or self.desk.intents[self.guess.intent].hand_over):
            return self._open(self.guess.intent, by_guess=True)
        touched, problem = put(self.heard, form)
        if problem:
            return self._missed(problem)
        if touched:
            self.state.last = None
            return self._next(form)
        return (
            self._said_against()
            or self._decided(form)
            or self._left_to_us(form)
            or self._renamed(form)
            or (self._open(self.guess.intent, by_guess=True) if else_ else None)
            or self._missed()
        )

    def _decided(self, form: Form) -> str | None:
        """Yes or no, where all is known."""
        if not form.confirming:
            return None
        answer = acts.yes_or_no(self.heard.line)
        if answer is None and not self._is_about_else(form.intent, SURE):
            answer = acts.begins_with(self.heard.line)
        if answer is None or (answer is False and self._slot_named(form)):
            return None
        if answer:
            return self._complete(form)
        self.state.misses = 0
        return self.desk.phrases.change

    def _left_to_us(self, form: Form) -> str | None:
        """I don't mind."""
        slot = self.intent_of(form).slots[form.asked] if form.asked else None
        if form.asked is None or slot is None or slot.default is None:
            return None
        if not acts.shrugs(self.heard.line):
            return None
        form.slots[form.asked] = default_of(self.desk, slot, self.now)
        return self._next(form)

    def _renamed(self, form: Form) -> str | None:
        """Change the date: which slot is meant, without what it should be."""
        name = self._slot_named(form)
        if name is None or not (form.confirming or acts.corrects(self.heard.line)):
            return None
        form.slots.pop(name)
        return self._next(form)

    def _slot_named(self, form: Form) -> str | None:
        words = set(self.heard.line.replace("?", " ").replace(",", " ").replace(".", " ").split())
        for name in form.slots:
            slot = self.intent_of(form).slots[name]
            about = {
                *read(name).replace("_", " ").split(),
                slot.kind,
                slot.kind.rstrip("s"),
                *slot.cues,
            }
            if slot.ask and about & words - {"to", "for", "from", "at", "on", "text", "number"}:
                return name
        return None

    def _next(self, form: Form) -> str:
        """The question for the next slot; when all is known, whether it is right, or the answer."""
        self.state.misses = 0
        intent = self.intent_of(form)
        form.asked, form.confirming = None, False
        for name, slot in intent.slots.items():
            if slot.ask and name not in form.slots:
                form.asked = name
                return self._question(form)
        for name, slot in intent.slots.items():
            if slot.default:
                form.slots.setdefault(name, default_of(self.desk, slot, self.now))
        if intent.confirm:
            form.confirming = True
            return self._question(form)
        return self._complete(form)

    def _question(self, form: Form) -> str:
        intent = self.intent_of(form)
        text = (intent.slots[form.asked].ask if form.asked else intent.confirm) or ""
        return say(self.desk, intent, text, form.slots, self.now)

    def _complete(self, form: Form) -> str:
        """The answer; the form is done with, and what waited for it goes on."""
        intent = self.intent_of(form)
        form.asked, form.confirming = None, False
        self.state.forms = [other for other in self.state.forms if other is not form]
        self.state.last, self.state.misses = form, 0
        self.completed = form
        self.about = form.intent
        if intent.hand_over:
            return self._hand_over(form)
        return self._and_back(self._text_of(form))

    def _text_of(self, form: Form) -> str:
        intent = self.intent_of(form)
        text = intent.answer
        if isinstance(text, dict):
            text = text[resolved(intent, form.slots)[self.desk.answered_by(intent) or ""]]
        return say(self.desk, intent, text or self.desk.title(form.intent), form.slots, self.now)

    def _hand_over(self, form: Form | None = None) -> str:
        self.state.forms, self.state.handed_over = [], True
        said = form and self.intent_of(form).answer
        return self._text_of(form) if form and said else self.desk.phrases.hand_over

    def _and_back(self, said: str) -> str:
        """The same, and the question of the form that waits, if one does."""
        if self.form is None:
            return said
        back = fill(self.desk.phrases.back, {"title": self.desk.title(self.form.intent)})
        return f"{said}\n{back} {self._question(self.form)}"

    # What is new.

    def _guessed(self) -> str | None:
        guess = self.guess
        if not guess.known and not self._has_its_values():
            return None
        if guess.probability < UNSURE and guess.others:
            self.state.offered = [guess.intent, guess.others[0][0]]
            first, second = map(self.desk.title, self.state.offered)
            self.about, self.by_guess = guess.intent, True
            return fill(self.desk.phrases.did_you_mean, {"first": first, "second": second})
        return self._open(guess.intent, by_guess=True)

    def _has_its_values(self) -> bool:
        """Whether a text that may be out of scope names values of the likeliest intent's lists."""
        slots = self.desk.intents[self.guess.intent].slots.values()
        fitting = [e for e in self.heard.entities if any(accepts(slot, e) for slot in slots)]
        return self.guess.probability >= SURE and (
            len(fitting) > 1 or any(entity.kind in self.desk.lists for entity in fitting)
        )

    def _open(self, name: str, last: Form | None = None, by_guess: bool = False) -> str:
        """Begins an intent, or goes on with it where it waits; values of `last` are taken over."""
        self.about, self.by_guess = name, by_guess
        waiting = [form for form in self.state.forms if form.intent == name]
        form = waiting[0] if waiting else Form(intent=name)
        slots = self.intent_of(form).slots
        if last is not None:
            before = self.intent_of(last).slots
            for slot, value in last.slots.items():
                if slot in slots and slots[slot].kind == before[slot].kind:
                    form.slots.setdefault(slot, value)
        others = [other for other in self.state.forms if other is not form]
        self.state.forms = [*others, form][-MAX_FORMS:]
        self.state.last = None
        _, problem = put(self.heard, form)
        begin(self.heard, form)
        question = self._next(form)
        return f"{problem} {question}" if problem else question

    def _missed(self, problem: str = "") -> str:
        """What was not understood, or cannot be: what is expected; and in the end a person."""
        self.state.misses += 1
        self.understood = bool(problem)
        if self.state.misses >= self.desk.hand_over_after:
            return self._hand_over()
        form = self.form
        if form is None:
            return self.desk.phrases.fallback
        slot = self.intent_of(form).slots[form.asked] if form.asked else None
        parts = [problem or self.desk.phrases.again]
        if slot and not problem:
            parts.append(expectation(self.desk, slot))
        return " ".join([*parts, self._question(form)])

    # What both need.

    def _is_about_else(self, intent: str, sure: float) -> bool:
        """Whether the text is about another intent, as far as the classifier can tell."""
        guess = self.guess
        return guess.known and guess.intent != intent and guess.probability >= sure


def _fitting(desk: Desk, state: State) -> State:
    """A copy of a state, less what the desk does not know (any more)."""
    state = state.model_copy(deep=True)

    def fits(form: Form) -> bool:
        intent = desk.intents.get(form.intent)
        if intent is None or (form.asked is not None and form.asked not in intent.slots):
            return False
        return set(form.slots) <= set(intent.slots)

    state.forms = [form for form in state.forms if fits(form)]
    state.last = state.last if state.last and fits(state.last) else None
    state.offered = [name for name in state.offered if name in desk.intents]
    return state


@lru_cache(maxsize=1000)
def _keys(examples: tuple[str, ...], name: str) -> frozenset[str]:
    return acts.key_words(examples, name)
