"""Who asks for a person is heard, who only speaks of people is not: own sentences, and public collections."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.replay.scorecards import wilson
from rules.text.topics import Matcher

REPOSITORY = Path(__file__).parents[2]
SHARED = Path(os.environ.get("HANDRAIL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
INTENTS = SHARED / "intents.dev.jsonl.gz"

# What the product promises (README); the floors lie under the figures of docs/library.md, since data changes.
PRECISION_MIN = 0.95
RECALL_MIN = 0.55
FALSE_PER_1000_MAX = 1.0

ASKS = """
I want to talk to a human
Can I speak with a real person please?
let me talk to someone
put me through to your manager
I'd rather deal with a person
agent
Agent please!
REPRESENTATIVE!!!
speak to an agent
Talk to a real human being now
could you connect me with a live agent
Please transfer me to customer support
get me your supervisor
I need to speak to a manager immediately
can someone from your team call me back
could someone please call me
I would like to request a callback from an agent
gimme a human
Is there a human I can talk to?
Are there any real people I can speak with?
I don't want to talk to a bot, give me a person
stop, I want a human
I demand to speak to someone in charge
I'd prefer a human
Can you get a human on the line
let me chat with one of your colleagues
escalate this to a manager
hand me over to a colleague
can i have a human agent
i need help from a human
i want to speak with the front desk
may I talk to the pharmacist
is it possible to speak with an advisor?
how do i get a human
how can i reach a real person
how do i get hold of a person
how can I contact a human agent
you're a bot, I want a person
I am tired of talking to a machine
pls connect me to agent
want to talk to agent
need human
I'd like to be transferred to an agent
I would like to be put through to someone
I’d like to speak to SOMEONE ELSE
I want to talk to a hu\u200bman
can I talk to a person instead of a bot
operator please
just get me a person
Quiero hablar con una persona
¿Puedo hablar con un agente?
necesito hablar con alguien ya
páseme con un supervisor por favor
pasame con un supervisor
me puede comunicar con un representante
quiero un humano
persona real por favor
quisiera hablar con un asesor
no quiero hablar con un robot
pásame a un agente
que me atienda una persona
prefiero hablar con un humano
hay alguien real con quien pueda hablar
me pasas con un operador?
estoy harto de hablar con una máquina
quiero que me llamen
¿puede llamarme un agente?
Could you put me in touch with somebody
i want to speak to the hotel manager
can I talk to the kitchen
get me the front desk
please have a manager contact me
please let a human take over
I'd like someone to call me
no more automated answers, person please
""".strip().splitlines()

DOES_NOT_ASK = """
I do not want to talk to a person
I don't want to speak to a human, just answer
I don’t want to speak to a human
no humans please
no agents please
are you a person?
are you human?
Am I talking to a real person?
am i speaking with a human or a bot
is this a real person
another person
I want to send money to another person
I paid the wrong person
can I add another person to my booking
the person I want to pay is in Spain
a room for one person please
two people please
I want to pay a real person not a company
does the policy cover a person over 70
I already talked to an agent yesterday and he said yes
your agent told me to wait
the representative was very nice
My travel agent booked the flight
I need to talk to my wife first
I'll talk to my manager about it and come back
do I need to speak to a representative to change my PIN?
do I have to talk to someone to cancel?
can I cancel without talking to anyone
talk to me about your rates
can you speak Spanish
I need to talk about my order
someone stole my card
can someone help me
human resources department email
how do I become an agent for you
customer service was great, thanks
what are your customer service hours
can you connect me to the wifi
transfer me the money
put me on the waiting list
transfer 200 to the person I paid last week
no need for a human, thanks
there is no need to transfer me to an agent
please don't transfer me to a human
please do not connect me with an agent, I am fine
it was nice to talk to a real person yesterday
I was speaking to someone yesterday about this
can I get a person's name on the invoice
you sound like a real person
contact the seller
who is the account manager
the delivery person was rude
does the agent fee apply
a person should be able to do this online
No quiero hablar con una persona
no necesito hablar con nadie
¿eres una persona?
¿Estoy hablando con una persona real?
la persona que me robó la tarjeta
quiero enviar dinero a otra persona
una habitación para una persona
hablé con un agente ayer
tengo que hablar con mi esposa
no me pase con un agente
mi agente de seguros vive en Madrid
para dos personas por favor
sin hablar con un agente puedo cancelar?
the app put me through a lot of steps
I need a representative sample
the representative APR is 9 percent
can I transfer it to another person's account
send someone to clean my room
call the restaurant and book a table
my account manager left
text my manager that I am late
can i use another operator's atm
I'm an insurance agent and need a quote
""".strip().splitlines()


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    library = REPOSITORY / "rules" / "library"
    texts = {name: (library / name).read_text("utf-8") for name in ("person.yaml", "queues.yaml")}
    topics = files_or_raise(texts).topics
    return Matcher({name: topic for name, topic in topics.items() if topic.means == "asks_for_person"})


@pytest.mark.parametrize("sentence", ASKS)
def test_who_asks_for_a_person_is_heard(matcher: Matcher, sentence: str) -> None:
    assert matcher.find(sentence, "message")


@pytest.mark.parametrize("sentence", DOES_NOT_ASK)
def test_who_does_not_ask_is_left_with_the_agent(matcher: Matcher, sentence: str) -> None:
    assert [sentence[hit.start : hit.end] for hit in matcher.find(sentence, "message")] == []


def half(identifier: str) -> int:
    """Return 0 for the half that was looked at while the rules were written, 1 for the half that was not."""
    return blake2b(identifier.encode(), digest_size=2).digest()[0] & 1


@pytest.mark.skipif(not INTENTS.exists(), reason=f"no sentences to measure on: {INTENTS} is absent")
@pytest.mark.parametrize("looked_at", [0, 1], ids=["the half that was looked at", "the half that was not"])
def test_precision_and_recall_on_public_sentences(
    matcher: Matcher, looked_at: int, record_property: Callable[[str, object], None]
) -> None:
    with gzip.open(INTENTS, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if half(row["id"]) == looked_at]
    labelled = [row for row in rows if row["source"].startswith("nlupp")]
    others = [row for row in rows if not row["source"].startswith("nlupp")]
    heard = {row["id"] for row in rows if matcher.find(row["text"], "message")}
    asked = {row["id"] for row in labelled if "handoff" in row["intents"]}
    of_labelled = heard & {row["id"] for row in labelled}
    assert len(asked) >= 15
    assert len(others) >= 10_000
    right = len(of_labelled & asked)
    precision, recall = right / len(of_labelled), right / len(asked)
    false_per_1000 = 1000 * len(heard & {row["id"] for row in others}) / len(others)
    record_property("precision", f"{precision:.3f} {wilson(right, len(of_labelled))}")
    record_property("recall", f"{recall:.3f} {wilson(right, len(asked))}")
    record_property("false hits in 1,000 others", f"{false_per_1000:.2f}")
    assert precision > PRECISION_MIN
    assert recall > RECALL_MIN
    assert false_per_1000 <= FALSE_PER_1000_MAX
