"""Messages of our own invention: a phone and a mailbox in a town that does not exist.

Each message is put together from pieces. Some ham talks of prizes, parcels and payments, some
spam chats, and one message in eight is an earlier one with other names and numbers.
"""

from __future__ import annotations

import random
import re
from typing import Final, NamedTuple

WORDS: Final = {
    "name": "Ana Bo Cleo Dov Ema Finn Gus Hana Ivo Jana Kit Lea Milo Nora Otto Pia",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday tonight tomorrow",
    "time": "7 8 half_past_nine noon 3pm 5:15 18:30 six",
    "place": "the_harbour the_library the_bakery the_station the_pool grandma's the_office home",
    "food": "soup pizza dumplings salad leftovers pancakes curry toast",
    "thing": "keys charger umbrella homework bike passport jacket ticket book",
    "shop": "Fernwell Lumo Quarrel&Sons Pineta Hobbin Tollar",
    "bank": "Norrbank Alta_Savings Bank_of_Sund Credia",
    "prize": "phone tablet holiday_voucher gift_card weekend_in_Vell cash_sum laptop",
    "coin": "Zircoin Lumetta OrbX Nuvo",
    "sum": "50 75 120 250 400 900 1500 2000 5000",
}


class Pieces(NamedTuple):
    """What messages of a kind begin with, say and end with; # is a digit, {} a word."""

    openings: tuple[str, ...]
    bodies: tuple[str, ...]
    closings: tuple[str, ...]


HAM: Final = Pieces(
    ("hey {name},", "hi love,", "Morning!", "ok", "lol", "Sorry,", "{name}:", "Dear {name},", "",
     "", "", "oh no", "yes!", "Hi all,", "btw", "{shop}:", "URGENT!", "Congratulations {name}!"),
    (
        "are we still on for {day} at {time}?",
        "i left my {thing} at {place} again",
        "can you pick up some {food} on your way",
        "running late, be there at {time}",
        "did you see what {name} wrote, i cannot stop laughing",
        "the meeting moved to {day}, room #",
        "happy birthday!! hope you get all the {food} you can eat",
        "call me when you are at {place}",
        "your parcel from {shop} is at {place}, code ####",
        "i won # euros at cards, drinks on me",
        "the invoice for {day} is attached, please pay by the ##th",
        "your code is ######, it is valid for ## minutes",
        "{bank}: a payment of {sum} to {shop} was booked on {day}",
        "is the {prize} from the school raffle still free to collect?",
        "your appointment at {place} is on {day} at {time}, reply C to confirm",
        "who took the {thing}? i need it now",
        "the train is cancelled, taking the bus, see you {time}",
        "mum asks if you want {food} on {day}",
        "free for coffee {day}? my treat",
        "my new number is 07## ######, save it please",
        "your order ##### from {shop} has shipped, track it at {shop}.example/####",
        "we only have {food} left, want some?",
        "the dentist says no {food} until {day}",
        "i transferred {sum} to your account at {bank}, thanks again",
        "claim the seats early, {place} fills up by {time}",
        "could you send me the notes from {day}",
        "the {shop} sale starts {day}, want to go with me?",
        "reminder: rent of {sum} is due {day}",
    ),
    ("", "", "", "", "thanks", "xx", "see you", ":)", "love you", "{name}", "call me", "ok?",
     "haha", "please confirm", "reply YES to go on"),
)  # fmt: skip
SPAM: Final = Pieces(
    ("URGENT!", "Congratulations {name}!", "Dear customer,", "WINNER!!", "hey {name}", "ok", "",
     "FINAL NOTICE:", "{shop}:", "{bank} alert:", "Hi, it's me,", "hi love,", "Private message:"),
    (
        "you have been chosen for a {prize} worth {sum} euros",
        "your account at {bank} is locked since {day}",
        "your parcel is held, a fee of #.## is due",
        "a loan of {sum} is approved for you, no questions",
        "{coin} will double by {day}, our members made {sum} already",
        "you qualify for a FREE {prize}",
        "i lost my phone, this is my new number, can you lend me {sum} until {day}",
        "i saw you at {place} {day}, want to get to know me?",
        "work from home and earn {sum} a week",
        "a refund of {sum} from {shop} is waiting for you",
        "your subscription to {shop} renews at {sum} today",
        "your {prize} could not be delivered to {place}",
        "lose # kg by {day} without giving up {food}",
        "someone from {place} has a crush on you",
        "unpaid toll of ##.## for your car, more is added on {day}",
        "we tried to reach you about your prize of {sum}",
        "50% off all {prize}s at {shop}, today only",
        "your code for {bank} expires, confirm who you are",
    ),
    ("Call 090# ### ####, 1.50/min", "claim at {shop}-bonus.example/####", "txt WIN to 8####",
     "reply YES to go on", "visit http://{coin}.example/?id=####", "18+ only, STOP to end", "xx",
     "act now!!!", "answer here, do not tell anyone", "{shop}.example/####", "call me", "thanks",
     "limited offer, T&Cs apply", "log in today: {bank}-help.example/##", "", "", "please confirm"),
)  # fmt: skip


def generate(count: int, spam_share: float = 0.25, seed: int = 0) -> list[tuple[str, bool]]:
    """Messages, each with whether it is spam.

    Args:
        count: How many.
        spam_share: How many of them are spam, about.
        seed: Seed of the chance.
    """
    draw = random.Random(seed)  # noqa: S311 - no secrets here
    made: list[tuple[str, bool]] = []
    patterns: list[tuple[str, bool]] = []
    while len(made) < count:
        if patterns and draw.random() < 0.125:
            pattern, spam = draw.choice(patterns)
        else:
            spam = draw.random() < spam_share
            pattern = " ".join(filter(None, map(draw.choice, SPAM if spam else HAM)))
            patterns.append((pattern, spam))
        made.append((_filled(draw, pattern), spam))
    return made


def _filled(draw: random.Random, pattern: str) -> str:
    chosen = {key: draw.choice(words.split()).replace("_", " ") for key, words in WORDS.items()}
    return re.sub("#", lambda _: str(draw.randrange(10)), pattern.format(**chosen))
