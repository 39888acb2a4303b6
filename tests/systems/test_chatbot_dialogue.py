"""The chatbot's conversations: with guesses that are given, and with a model that is fitted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from mlfolio.core.errors import InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Conversation, Message
from mlfolio.systems.chatbot.desk import SAMPLE, STORIES, Desk, read_desk
from mlfolio.systems.chatbot.dialogue import Reply, State, step
from mlfolio.systems.chatbot.model import READ, ChatAnswer, ChatbotModel, ChatMessage
from mlfolio.systems.chatbot.stories import read_stories, run_stories
from mlfolio.systems.chatbot.understanding import Examples, Guess, Understanding

NOW = datetime(2026, 6, 3, 10)  # a Wednesday
HOTEL = read_desk(SAMPLE)
ANYTHING = [
    "yes", "no", "no, Tuesday", "never mind", "start over", "Friday", "7", "for 2", "3 nights",
    "GL4821", "a@b.example", "a suite", "and dinner?", "how much", "thanks", "👍", "…",
    "not Monday", "the date", "30 February", "at 25", "whatever", "", "{room}", "{}",
]  # fmt: skip


class Talk:
    """A conversation in which it is given what the texts are taken for."""

    def __init__(self, desk: Desk = HOTEL) -> None:
        self.desk = desk
        self.state = State()

    def say(self, text: str, intent: str = "", sure: float = 0.95) -> Reply:
        guess = Guess(
            intent or list(self.desk.intents)[-1], sure if intent else 0.2, sure, bool(intent), ()
        )
        before = self.state.model_dump_json()
        # Kept as JSON between turns, as it is in the database.
        self.state, reply = step(self.desk, State.model_validate_json(before), text, guess, NOW)
        return reply


def desk(**changes: object) -> Desk:
    """Two intents, to be changed."""
    intents = {
        "order": {
            "examples": ["I want to order a pizza", "order something"],
            "slots": {
                "size": {"kind": "sizes", "ask": "Which size?", "default": "medium"},
                "count": {"kind": "number", "ask": "How many?", "max": "9"},
            },
            "answer": "{count} times {size}.",
        },
        "hours": {"examples": ["when are you open", "opening hours"], "answer": "Always."},
    }
    lists = {"sizes": ["small", "medium", "large"]}
    return Desk.model_validate({"intents": intents, "lists": lists, **changes})


def test_slots_are_filled_over_several_turns_and_confirmed() -> None:
    talk = Talk()
    assert "Which room" in talk.say("I'd like to book a room", "book_room").text
    assert talk.say("a twin please").slots == {"room": "double room"}
    assert talk.say("next Friday").slots["arrival"] == "2026-06-12"
    assert talk.say("three nights").slots["departure"] == "2026-06-15"
    reply = talk.say("Anna@example.com")
    assert "from Friday 12 June to Monday 15 June" in reply.text
    assert reply.completed is None
    reply = talk.say("yes")
    assert reply.completed == reply.intent == "book_room"
    assert reply.slots == {
        "room": "double room", "arrival": "2026-06-12", "departure": "2026-06-15",
        "email": "anna@example.com",
    }  # fmt: skip
    assert talk.state.forms == []


def test_everything_at_once() -> None:
    reply = Talk().say("suite from dec 24 to dec 27, bo@x.example", "book_room")
    assert list(reply.slots.values()) == ["suite", "2026-12-24", "2026-12-27", "bo@x.example"]
    assert "Shall I book it" in reply.text
    assert not reply.completed


@pytest.mark.parametrize(
    ("correction", "slot", "value"),
    [
        ("no, Tuesday", "arrival", "2026-06-09"),
        ("sorry, I meant Tuesday", "arrival", "2026-06-09"),
        ("not Monday, Tuesday", "arrival", "2026-06-09"),
        ("Tuesday instead", "arrival", "2026-06-09"),
        ("actually make it a suite", "room", "suite"),
        ("a single", "room", "single room"),
        ("arriving on the 10th, and leaving on the 12th", "arrival", "2026-06-10"),
        ("change it from Monday to Tuesday", "arrival", "2026-06-09"),
    ],
)
def test_what_was_said_before_is_corrected_while_another_slot_is_asked_for(
    correction: str, slot: str, value: str
) -> None:
    talk = Talk()
    assert "which day do you leave" in talk.say("a double on Monday", "book_room").text
    assert talk.say(correction).slots[slot] == value


def test_a_stay_moves_with_its_arrival_and_a_day_of_departure_does_not() -> None:
    talk = Talk()
    talk.say("a double on Monday for 3 nights", "book_room")
    assert talk.say("no, Tuesday").slots["departure"] == "2026-06-12"
    talk = Talk()
    talk.say("a double from Monday to Wednesday", "book_room")
    reply = talk.say("no, arriving on the 12th")
    assert "departure" not in reply.slots
    assert "which day do you leave" in reply.text


def test_no_to_the_confirmation_asks_what_and_takes_it() -> None:
    talk = Talk()
    talk.say("suite from Friday to Sunday, bo@x.example", "book_room")
    assert talk.say("no").text == HOTEL.phrases.change
    assert "On which day do you arrive" in talk.say("the arrival").text
    assert talk.say("Saturday").slots["arrival"] == "2026-06-06"
    assert talk.say("yes but a single room").slots["room"] == "single room"
    assert talk.say("ok thanks").completed == "book_room"


def test_a_question_or_an_objection_is_no_yes() -> None:
    for text in (
        "sure about that?", "confirm what?", "exactly how much is it?", "correct the email please",
        "yes wait, not yet", "right, cancel that", "perfect, but what does it cost?", "sure?",
        "yes, wrong email", "yes, if it is quiet", "great, don't book it",
    ):  # fmt: skip
        talk = Talk()
        talk.say("suite from Friday to Sunday, bo@x.example", "book_room")
        assert talk.say(text).completed is None, text
        assert [form.intent for form in talk.state.forms] == ["book_room"], text


@pytest.mark.parametrize(
    "text",
    ["no problem, book it", "no worries, go ahead", "no problem", "yes, book the room please",
     "sure, go ahead", "Correct!", "yes, that is what I want"],
)  # fmt: skip
def test_a_yes_may_be_said_in_more_words(text: str) -> None:
    talk = Talk()
    talk.say("suite from Friday to Sunday, bo@x.example", "book_room")
    assert talk.say(text).completed == "book_room"


def test_a_cancellation_is_confirmed_by_its_own_words() -> None:
    talk = Talk()
    talk.say("cancel booking GL4821", "cancel_booking")
    assert talk.say("yes, cancel the booking").completed == "cancel_booking"


@pytest.mark.parametrize("text", ["please don't cancel my booking", "I do not want to cancel"])
def test_what_is_not_wanted_is_not_done(text: str) -> None:
    talk = Talk()
    reply = talk.say(text, "cancel_booking")
    assert reply.text == HOTEL.phrases.left_alone
    assert talk.state.forms == []


def test_a_form_is_left_by_not_wanting_it() -> None:
    talk = Talk()
    talk.say("cancel booking GL4821", "cancel_booking")
    reply = talk.say("no, don't cancel it", "cancel_booking")
    assert reply.completed is None
    assert talk.state.forms == []


def test_what_is_done_is_undone_by_a_person() -> None:
    talk = Talk()
    talk.say("cancel booking GL4821", "cancel_booking")
    assert talk.say("yes").completed == "cancel_booking"
    assert talk.say("please don't cancel it", "cancel_booking").handed_over


def test_a_question_in_the_middle_is_answered_and_the_form_goes_on() -> None:
    talk = Talk()
    talk.say("a table for four", "book_table")
    reply = talk.say("what time is breakfast on Sunday?", "meals")
    assert reply.completed == "meals"
    assert reply.text.startswith("Breakfast is")
    assert reply.text.endswith("For which day?")
    assert talk.say("how much is it?").text.startswith("Breakfast is included, lunch is 19")
    assert talk.say("tomorrow").slots == {"date": "2026-06-04", "people": "4"}


def test_another_form_in_the_middle_is_finished_or_dropped_first() -> None:
    for last, rest in (("yes", "Back to"), ("never mind", "never mind: a taxi")):
        talk = Talk()
        talk.say("a table for two", "book_table")
        talk.say("I need a taxi to the station first, at 9", "taxi")
        assert [form.intent for form in talk.state.forms] == ["book_table", "taxi"]
        assert rest in talk.say(last).text
        assert talk.say("Friday at 8").slots == {
            "date": "2026-06-05", "time": "20:00", "people": "2"
        }  # fmt: skip


def test_an_answer_is_not_taken_for_a_question_about_something_else() -> None:
    talk = Talk()
    talk.say("a table for two", "book_table")
    assert talk.say("we check in on Friday", "check_in").slots["date"] == "2026-06-05"


def test_forms_do_not_pile_up() -> None:
    talk = Talk()
    for intent in ("book_room", "book_table", "taxi", "cancel_booking", "report_problem"):
        talk.say("what about that?", intent)
    assert len(talk.state.forms) == 3
    talk.say("a table, I said", "book_table")
    talk.say("a table, I said", "book_table")
    assert [form.intent for form in talk.state.forms].count("book_table") == 1


def test_follow_ups_are_understood_by_what_was_answered_last() -> None:
    talk = Talk()
    talk.say("is there a garage", "parking")
    assert "15 euros" in talk.say("and how much is it?").text
    assert "22 kW" in talk.say("can I charge my car").text
    talk.say("when is breakfast", "meals")
    assert "34 euros" in talk.say("how much").text
    assert talk.say("how much is a single room from friday", "book_room").intent == "book_room"


def test_an_offer_is_taken_with_what_is_known() -> None:
    talk = Talk()
    talk.say("suite from Friday to Sunday, bo@x.example", "book_room")
    talk.say("yes")
    reply = talk.say("yes please, for two")
    reply = talk.say("yes please") if reply.intent != "book_table" else reply
    assert reply.intent == "book_table"


@pytest.mark.parametrize("text", ["and dinner?", "what about supper", "no, dinner", "dinner"])
def test_the_last_intent_once_more_with_another_value(text: str) -> None:
    talk = Talk()
    assert talk.say("when is breakfast", "meals").text.startswith("Breakfast is from")
    reply = talk.say(text)
    assert (reply.completed, reply.slots) == ("meals", {"meal": "dinner"})


def test_what_is_impossible_is_told_and_asked_for_again() -> None:
    talk = Talk()
    reply = talk.say("table for 40 on Friday at 8", "book_table")
    assert "“40” is not possible, only 1 – 12. For how many people?" in reply.text
    assert talk.say("12").slots["people"] == "12"
    talk = Talk()
    talk.say("a single", "book_room")
    for impossible in ("yesterday", "30 February"):
        assert "Sorry, “" in (reply := talk.say(impossible)).text
        assert reply.understood
    assert talk.say("tomorrow").slots["arrival"] == "2026-06-04"
    assert "is not possible" in talk.say("tomorrow").text


def test_a_time_is_the_one_that_is_possible() -> None:
    for said in ("at 7", "7", "seven", "half past 7", "7.15"):
        talk = Talk()
        talk.say("table for 2 on Friday", "book_table")
        assert talk.say(said).slots["time"].startswith("19:"), said


def test_a_text_is_taken_as_it_is() -> None:
    talk = Talk()
    assert "What is wrong" in talk.say("something is broken", "report_problem").text
    said = "The light, in the bath <b>flickers</b> on Fridays!"
    assert talk.say(said).slots == {"problem": said}
    assert talk.say("215").completed == "report_problem"
    talk = Talk()
    reply = talk.say("there are ants in room 12", "report_problem")
    assert reply.slots == {"problem": "there are ants in room 12", "room": "12"}


def test_who_does_not_mind_gets_the_default_and_who_cannot_spell_is_understood() -> None:
    talk = Talk(desk())
    talk.say("order", "order")
    assert talk.say("I don't mind").slots == {"size": "medium"}
    talk = Talk(desk())
    talk.say("order", "order")
    assert talk.say("lagre please").slots == {"size": "large"}
    assert talk.say("3").text == "3 times large."


def test_a_person_takes_over_on_request_and_a_restart_comes_back() -> None:
    talk = Talk()
    talk.say("a table for two", "book_table")
    assert talk.say("let me talk to a human", "talk_to_person").handed_over
    assert talk.say("a double room", "book_room").text == HOTEL.phrases.waiting
    assert not talk.say("Start over!").handed_over
    assert talk.state == State()


def test_a_person_takes_over_after_misunderstandings_in_a_row() -> None:
    talk = Talk(desk(hand_over_after=3))
    talk.say("blah")
    talk.say("blah")
    talk.say("opening hours", "hours")  # which count anew from here
    replies = [talk.say("blah") for _ in range(3)]
    assert [reply.handed_over for reply in replies] == [False, False, True]
    assert not any(reply.understood for reply in replies)
    talk = Talk(desk(hand_over_after=2))
    talk.say("order", "order")
    assert (
        talk.say("hm").text
        == "Sorry, I did not get that. It can be one of: small, medium, large. Which size?"
    )
    assert talk.say("hm").handed_over


def test_small_talk_is_answered_at_any_time() -> None:
    talk = Talk()
    assert talk.say("hello there!").text.startswith("Welcome")
    talk.say("a table for two", "book_table")
    reply = talk.say("thank you")
    assert reply.text.startswith("You are welcome.\nBack to")
    assert reply.understood


def test_a_state_of_another_desk_is_used_as_far_as_it_fits() -> None:
    talk = Talk()
    talk.say("a table for two", "book_table")
    talk.desk = desk()
    assert talk.say("opening hours", "hours").text == "Always."
    assert talk.state.forms == []


def test_a_value_that_a_changed_desk_does_not_take_drops_its_form() -> None:
    def of(kind: str, sizes: list[str]) -> Desk:
        slots = {
            "size": {"kind": "sizes", "ask": "Which size?"},
            "day": {"kind": kind, "ask": "When?"},
        }
        answer = dict.fromkeys(sizes, "{day}")
        order = {"examples": ["order"], "slots": slots, "confirm": "{day}?", "answer": answer}
        hours = {"examples": ["opening hours"], "answer": "Always."}
        return Desk.model_validate(
            {"intents": {"order": order, "hours": hours}, "lists": {"sizes": sizes}}
        )

    old = of("text", ["small", "large"])
    for new in (of("date", ["small", "large"]), of("time", ["large"]), of("text", ["small"])):
        talk = Talk(old)
        talk.say("order", "order")
        talk.say("large")
        assert talk.say("whenever it suits you").text == "whenever it suits you?"
        kept = talk.state
        talk.desk = new
        assert talk.say("yes").completed is None
        assert talk.state.forms == []
        talk.desk, talk.state = old, kept
        assert talk.say("yes").completed == "order"


def test_a_default_is_stored_as_what_is_said_would_be() -> None:
    slots = {"count": {"kind": "number", "ask": "How many?", "default": "two"}}
    order = {"examples": ["order"], "slots": slots, "answer": "{count}!"}
    hours = {"examples": ["opening hours"], "answer": "Always."}
    talk = Talk(Desk.model_validate({"intents": {"order": order, "hours": hours}}))
    talk.say("order", "order")
    assert talk.say("I don't mind").slots == {"count": "2"}


def test_a_greeting_is_no_time_of_the_day() -> None:
    reply = Talk().say("Good morning, can I book a table for four on Friday at 8?", "book_table")
    assert reply.slots == {"date": "2026-06-05", "time": "20:00", "people": "4"}


def test_a_time_may_end_a_sentence() -> None:
    for said in ("at 19.30.", "let's say at 7.30.", "7.30."):
        talk = Talk()
        talk.say("table for 2 on Friday", "book_table")
        assert talk.say(said).slots["time"] == "19:30", said


def test_a_list_of_thousands_of_values_is_answered_in_time() -> None:
    talk = Talk(desk(lists={"sizes": [f"product {n}" for n in range(3000)]}, intents={
        "order": {
            "examples": ["order"], "answer": "{size}",
            "slots": {"size": {"kind": "sizes", "ask": "Which?"}},
        },
        "hours": {"examples": ["opening hours"], "answer": "Always."},
    }))  # fmt: skip
    assert talk.say("order", "order").text == "Which?"  # the names are read here
    started = time.process_time()
    for text in ("prodct." * 30, "what do you have " * 20):
        talk.say(text)
    assert time.process_time() - started < 0.5
    assert talk.say("product 2999 please").slots == {"size": "product 2999"}


def test_the_state_that_is_given_is_not_changed() -> None:
    before = Talk()
    before.say("a table for two", "book_table")
    kept = before.state.model_copy(deep=True)
    step(HOTEL, before.state, "Friday at 8", Guess("wifi", 0.2, 0.2, False, ()), NOW)
    assert before.state == kept


def test_any_words_in_any_order_are_answered() -> None:
    """Whatever is said and guessed, there is a reply, and slots are those of the desk."""
    draw = random.Random(0)
    names = list(HOTEL.intents)
    phrases = [text for text, _ in HOTEL.examples()] + ANYTHING
    for _ in range(150):
        talk = Talk()
        for _ in range(8):
            reply = talk.say(draw.choice(phrases), draw.choice(["", *names]), draw.random())
            assert reply.text
            assert "{" not in reply.text.replace("{room}", "").replace("{}", "")
            for form in talk.state.forms:
                assert set(form.slots) <= set(HOTEL.intents[form.intent].slots)


def test_a_table_of_texts_makes_a_desk_without_answers() -> None:
    made = Desk.of_examples([(f"text {n}", f"intent_{n % 3}") for n in range(30)], ["else"])
    assert [len(intent.examples) for intent in made.intents.values()] == [5, 5, 5]
    assert Talk(made).say("what", "intent_2").text == "intent 2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ChatbotModel:
    """Fitted on the hotel's examples, stored and loaded."""
    folder = tmp_path_factory.mktemp("model")
    texts, intents = zip(*HOTEL.examples(), strict=True)
    fitted = Understanding.fit(Examples(texts, intents, HOTEL.out_of_scope))
    ChatbotModel(fitted, HOTEL).save(folder)
    return ChatbotModel.load(folder)


@pytest.mark.slow
def test_the_stories_come_out_as_they_are_written(model: ChatbotModel) -> None:
    stories = read_stories(STORIES)
    assert len(stories) >= 14
    assert run_stories(stories, model.desk, model.understanding.understand) == []


def test_a_story_that_fails_says_where(tmp_path: Path) -> None:
    (tmp_path / "stories.yaml").write_text(
        "stories:\n"
        "- name: hours\n  turns:\n"
        "  - {user: hello, says: Sorry}\n"
        "  - {user: opening hours, intent: hours, says: NEVER}\n"
        "- name: order\n  turns: [{user: order, intent: order, slots: {size: none}}]\n"
    )

    def understand(texts: Sequence[str]) -> list[Guess]:
        known = {"opening hours": "hours", "order": "order"}
        return [Guess(known.get(t, "hours"), 0.9, 0.9, t in known, ()) for t in texts]

    (failure,) = run_stories(read_stories(tmp_path / "stories.yaml"), desk(), understand)
    assert failure[:4] == ("hours", 2, "opening hours", "says")
    assert str(failure) == (
        "'hours', turn 2 ('opening hours'): says should be 'NEVER', is 'Always.'"
    )


def ask(model: ChatbotModel, text: str, conversation: str | None = None) -> ChatAnswer:
    (answer,) = model.predict([ChatMessage(text=text, conversation=conversation)])
    return answer


@pytest.mark.slow
def test_a_kept_conversation_and_a_replayed_one_come_to_the_same(
    model: ChatbotModel, home: Path
) -> None:
    said = [
        "I'd like to book a room",
        "a double",
        "tomorrow",
        "no, Friday",
        "2 nights",
        "a@b.example",
    ]
    kept = [ask(model, text, "conversation-1") for text in said]
    for n in range(1, len(said) + 1):
        messages = tuple(Message(role="user", content=text) for text in said[:n])
        first, whole = model.talk(Conversation(messages=messages))
        assert isinstance(whole, ChatAnswer)
        assert first == whole.answer
        got = whole.model_dump(exclude={"probabilities", "in_scope", "confidence"})
        assert got == kept[n - 1].model_dump(exclude={"probabilities", "in_scope", "confidence"})


@pytest.mark.slow
def test_conversations_do_not_mix_and_survive_a_new_model(model: ChatbotModel, home: Path) -> None:
    ask(model, "a table for four please", "conversation-1")
    ask(model, "please cancel my reservation", "conversation-2")
    again = ChatbotModel(model.understanding, model.desk)  # as after a restart
    one, two = again.predict([
        ChatMessage(text="tomorrow", conversation="conversation-1"),
        ChatMessage(text="GL4821", conversation="conversation-2"),
    ])  # fmt: skip
    assert one.slots.keys() == {"people", "date"}
    assert two.slots == {"booking": "GL4821"}
    assert ask(again, "tomorrow").slots == {}


@pytest.mark.slow
def test_a_turn_that_cannot_be_kept_is_not_taken(
    model: ChatbotModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFOLIO_DB", f"sqlite:///{tmp_path}/file/x.db")
    lost, other = model.predict([
        ChatMessage(text="a table for four please", conversation="conversation-1"),
        ChatMessage(text="a table for four please"),
    ])  # fmt: skip
    assert "send this again" in lost.warnings[0]
    assert (lost.understood, lost.slots) == (False, {})
    assert other.slots == {"people": "4"}


@pytest.mark.slow
def test_answers_say_how_sure_they_are(model: ChatbotModel) -> None:
    known, unknown = ask(model, "what time is breakfast"), ask(model, "what is the capital of Peru")
    assert known.understood
    assert not unknown.understood
    assert unknown.intent is None
    assert known.confidence is not None
    assert ask(model, "hello").confidence is None
    assert ask(model, " ").warnings == ["the message is empty"]
    (warning,) = ask(model, "word " * 1900).warnings
    assert f"{READ:,} of its 9,500" in warning
    assert ask(model, "my name is Bo, parking?").redacted().answer == ""


@pytest.mark.slow
def test_bad_inputs_are_refused(model: ChatbotModel) -> None:
    for row in ({"text": "x" * 20_001}, {"text": "hi", "conversation": "short"}, {"txt": "hi"}):
        with pytest.raises(InputError):
            parse_inputs(model, [row])


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [lambda: "a" * READ, lambda: "book a room " * 80, lambda: "\u202e🎉" * 400]
)
def test_long_conversations_are_answered_in_time(
    model: ChatbotModel, make: Callable[[], str]
) -> None:
    messages = tuple(Message(role="user", content=make()) for _ in range(200))
    started = time.process_time()
    list(model.talk(Conversation(messages=messages)))
    assert time.process_time() - started < 20
