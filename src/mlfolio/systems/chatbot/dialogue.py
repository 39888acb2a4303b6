"""One turn of a conversation: a state and what was said in, the next state and a reply out.

`step` is a pure function. A conversation can be kept as its state, or replayed from what the user
said: both come to the same.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from mlfolio.parts.text import acts
from mlfolio.parts.text.entities import read

from .desk import Desk, Intent, Saying, in_words
from .filling import Form, Heard, accepts, begin, put, slot_named
from .slots import default_of, fill, resolved, say, suits
from .understanding import Guess

SURE = 0.5  # probability from which another intent interrupts a form
VERY_SURE = 0.7  # from which a text is no sequel to the last answer
MAX_FORMS = 3  # that wait for each other


class State(BaseModel):
    """All that has to be kept of a conversation.

    Attributes:
        forms: Those that are being filled; the last one is talked about, the others wait.
        last: The intent that was answered last, for what follows from it.
        misses: Turns in a row that were not understood.
        handed_over: Whether a person goes on.
    """

    forms: list[Form] = []
    last: Form | None = None
    misses: int = 0
    handed_over: bool = False


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
    intent: str | None = None
    by_guess: bool = False
    understood: bool = True
    completed: str | None = None
    slots: dict[str, str] = {}
    entities: list[Found] = []
    handed_over: bool = False


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
    return turn.state, turn.reply(said)


class _Turn:
    """One turn; each of its readings gives a reply, or None where it does not apply.

    Attributes:
        state: A copy of the state, which becomes the next one.
    """

    def __init__(self, desk: Desk, state: State, text: str, guess: Guess, now: datetime) -> None:
        self.desk, self.guess, self.now = desk, guess, now
        self.state = _fitting(desk, state)
        form = self.form
        asked = self.intent_of(form).slots[form.asked].kind if form and form.asked else ""
        self.heard = Heard.of(desk, text, now, expected=asked)
        self.about = form.intent if form else None
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
        return (
            self._after_hand_over()
            or self._small_talk()
            or self._ended()
            or self._followed_up()
            or (self._in_form(self.form) if self.form else self._said_against())
            or self._elliptic()
            or self._guessed()
            or self._missed()
        )

    # What holds at any time.

    def _after_hand_over(self) -> str | None:
        if not self.state.handed_over or acts.restarts(self.heard.line):
            return None
        return self.desk.phrases.waiting

    def _small_talk(self) -> str | None:
        if self.form and self.form.confirming and acts.yes_or_no(self.heard.line) is not None:
            return None  # "ok thanks" is a yes
        for saying in self.desk.small_talk:
            if acts.says(self.heard.line, saying.says, whole=True):
                return self._follow(saying)
        return None

    def _ended(self) -> str | None:
        """Never mind; start over."""
        if acts.restarts(self.heard.line):
            self.state = State()
            return self.desk.phrases.fresh
        if self.form and acts.cancels(self.heard.line):
            return self._drop(self.form)
        return None

    def _drop(self, form: Form) -> str:
        self.state.forms.remove(form)
        self.state.misses = 0
        title = self.desk.title(form.intent)
        return self._and_back(fill(self.desk.phrases.cancelled, {"title": title}))

    def _said_against(self) -> str | None:
        """Please don't cancel."""
        intent = self.guess.intent
        values = {word for entity in self.heard.entities for word in entity.text.split()}
        words = _key_words(self.desk.intents[intent].examples, intent) - values
        if not acts.negates(self.heard.line, words):
            return None
        self.about, self.by_guess = intent, True
        if self.form and self.form.intent == intent:
            return self._drop(self.form)
        if self.state.last and self.state.last.intent == intent and self.state.last.slots:
            return self._hand_over()  # it is done: to undo it is for a person
        self.state.misses = 0
        return self._and_back(self.desk.phrases.left_alone)

    # What follows from the last answer.

    def _followed_up(self) -> str | None:
        """What may be said right after an answer."""
        last = self.state.last
        if last is None:
            return None
        whole = self._is_about_else(last.intent, VERY_SURE)
        for saying in self.intent_of(last).follow_ups:
            if self.form and {"yes", "no"} & set(saying.says):
                continue  # that is said of the form
            if acts.says(self.heard.line, saying.says, whole):
                self.about = last.intent
                return self._follow(saying, last)
        return None

    def _follow(self, saying: Saying, last: Form | None = None) -> str:
        self.state.misses = 0
        if saying.intent is None:
            return self._and_back(saying.answer or "")
        return self._open(saying.intent, last)

    def _elliptic(self) -> str | None:
        """And dinner? No, Tuesday: the last intent once more, with another value."""
        last, line = self.state.last, self.heard.line
        if self.form or last is None or not last.slots:
            return None
        if len(self.heard.content()) > 1 and (
            self._is_about_else(last.intent, VERY_SURE)
            or (self.guess.known and not acts.adds(line) and not acts.corrects(line))
        ):
            return None
        form = Form(intent=last.intent, slots=dict(last.slots))
        touched, problem = put(self.heard, form)
        if not touched and not problem:
            return None
        self.state.forms.append(form)
        self.about = last.intent
        return f"{problem} {self._question(form)}" if problem else self._next(form)

    # Within a form.

    def _in_form(self, form: Form) -> str | None:
        line, new = self.heard.line, self.guess.intent
        other = self._is_about_else(form.intent, SURE)
        asked = self.intent_of(form).slots[form.asked].kind if form.asked else ""
        # A slot of kind text would take "let me talk to a human" as well.
        wants_a_person = asked == "text" and self.desk.intents[new].hand_over
        if other and (acts.asks(line) or wants_a_person):
            return self._open(new, by_guess=True)
        filled = form.model_copy(deep=True)
        touched, problem = put(self.heard, filled)
        # "A taxi first, at 9" names a time too, but not for the table of which the day was asked.
        if not other or form.asked in touched or (touched and acts.corrects(line)):
            if touched or problem:
                self.state.forms[-1] = filled
            if problem:
                return self._missed(problem)
            if touched:
                self.state.last = None
                return self._next(filled)
        return (
            self._said_against()
            or self._decided(form)
            or self._changes_something(form)
            or (self._open(new, by_guess=True) if other else None)
            or self._missed()
        )

    def _decided(self, form: Form) -> str | None:
        """Yes or no, where all is known."""
        if not form.confirming:
            return None
        line = self.heard.line
        answer = acts.yes_or_no(line)
        if answer and line.endswith("?"):
            return None
        is_all = answer is True
        if answer is None and not self._is_about_else(form.intent, SURE):
            own = set(read(f"{in_words(form.intent)} {self.desk.title(form.intent)}").split())
            answer = acts.begins_with(line, own)
            is_all = answer is True and self.heard.content() - acts.YES <= own  # "yes, book a room"
        if answer is None or (not is_all and slot_named(self.heard, form)):
            return None
        self.state.misses = 0
        return self._complete(form) if answer else self.desk.phrases.change

    def _changes_something(self, form: Form) -> str | None:
        """Change the date: which slot is meant, without what it should be."""
        name = slot_named(self.heard, form)
        if name is None or not (form.confirming or acts.corrects(self.heard.line)):
            return None
        form.slots.pop(name)
        return self._next(form)

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
        form.confirming = intent.confirm is not None
        return self._question(form) if form.confirming else self._complete(form)

    def _question(self, form: Form) -> str:
        intent = self.intent_of(form)
        text = intent.slots[form.asked].ask if form.asked else intent.confirm
        return say(intent, text or "", form.slots, self.now)

    def _complete(self, form: Form) -> str:
        """The answer; the form is done with, and what waited for it goes on."""
        intent = self.intent_of(form)
        form.asked, form.confirming = None, False
        self.state.forms = [other for other in self.state.forms if other is not form]
        self.state.last, self.state.misses = form, 0
        self.completed, self.about = form, form.intent
        text = intent.answer
        if isinstance(text, dict):
            text = text[form.slots[self.desk.answered_by(intent) or ""]]
        said = say(intent, text, form.slots, self.now) if text else ""
        if intent.hand_over:
            return self._hand_over(said)
        return self._and_back(said or self.desk.title(form.intent))

    def _hand_over(self, said: str = "") -> str:
        self.state.forms, self.state.handed_over = [], True
        return said or self.desk.phrases.hand_over

    def _and_back(self, said: str) -> str:
        """The same, and the question of the form that waits, if one does."""
        if self.form is None:
            return said
        back = fill(self.desk.phrases.back, {"title": self.desk.title(self.form.intent)})
        return f"{said}\n{back} {self._question(self.form)}"

    # What is new.

    def _guessed(self) -> str | None:
        if (self.guess.known and not self.heard.is_bare) or self._has_its_values():
            return self._open(self.guess.intent, by_guess=True)
        return None

    def _has_its_values(self) -> bool:
        """Whether a text that may be out of scope names values that the likeliest intent takes."""
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
        for slot, value in last.slots.items() if last else ():
            if slot in slots and slots[slot].kind == self.intent_of(last or form).slots[slot].kind:
                form.slots.setdefault(slot, value)
        others = [other for other in self.state.forms if other is not form]
        self.state.forms = [*others, form][-MAX_FORMS:]
        self.state.last = None
        _, problem = put(self.heard, form)
        begin(self.heard, form)
        return f"{problem} {self._question(form)}" if problem else self._next(form)

    def _missed(self, problem: str = "") -> str:
        """What was not understood, or cannot be: what is expected; and in the end a person."""
        form, guess = self.form, self.guess
        once_more = form is not None and guess.known and guess.intent == form.intent
        self.state.misses += 1
        self.understood = bool(problem) or once_more
        if self.state.misses >= self.desk.hand_over_after:
            return self._hand_over()
        phrases = self.desk.phrases
        if form is None:
            return phrases.fallback
        parts = [problem or phrases.again * (not once_more), self._question(form)]
        values = self.desk.lists.get(
            self.intent_of(form).slots[form.asked].kind if form.asked else ""
        )
        if values and not problem:
            parts.insert(1, fill(phrases.one_of, {"values": ", ".join(values)}))
        return " ".join(filter(None, parts))

    def _is_about_else(self, intent: str, sure: float) -> bool:
        """Whether the text is about another intent, and does not only tell a value."""
        guess = self.guess
        known = guess.known and not self.heard.is_bare
        return known and guess.intent != intent and guess.probability >= sure


def _fitting(desk: Desk, state: State) -> State:
    """A copy of a state, less what the desk does not know (any more)."""
    state = state.model_copy(deep=True)

    def fits(form: Form) -> bool:
        intent = desk.intents.get(form.intent)
        if intent is None or not {*form.slots, form.asked or ""} <= {*intent.slots, ""}:
            return False
        known = {name for name, slot in intent.slots.items() if slot.ask or slot.default}
        if form.confirming and not (intent.confirm and known <= form.slots.keys()):
            return False
        return all(suits(desk, intent.slots[name], value) for name, value in form.slots.items())

    state.forms = [form for form in state.forms if fits(form)]
    state.last = state.last if state.last and fits(state.last) else None
    return state


@lru_cache(maxsize=1000)
def _key_words(examples: tuple[str, ...], name: str) -> frozenset[str]:
    return acts.key_words(examples, name)
