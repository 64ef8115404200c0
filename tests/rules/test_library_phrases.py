"""Who speaks of self-harm or of going to law is heard in English and Spanish, and who uses such words otherwise is not.

Who asks for a person is held in test_asks_for_person.py. The sentences are our own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.text.topics import Matcher

LIBRARY = Path(__file__).parents[2] / "rules" / "library"

SELF_HARM = """
I want to die
i don't want to live anymore
honestly everyone would be better off without me
I keep thinking about suicide
I'm going to kill myself
sometimes I hurt myself when it gets too much
I have been cutting myself again
there is nothing to live for
life is not worth living
I just want to end it all tonight
I don't want to be here anymore
I wish I was dead
Quiero morirme
ya no quiero vivir
he pensado en suicidarme
estoy pensando en quitarme la vida
no vale la pena vivir así
ojalá estuviera muerta
tengo ganas de morir
me voy a matar si esto sigue
a veces pienso en hacerme daño
no quiero seguir viviendo
""".strip().splitlines()

NO_SELF_HARM = """
my battery is dying
this queue is killing me
I would kill for a coffee
I hurt myself at the gym and need a doctor
does the policy have a suicide clause
I want to end my subscription
please end this chat
I died laughing
do I have to live in Spain for this
the line went dead
I cut my finger
la batería se muere
me muero de hambre
quiero acabar con esta suscripción
me duele la mano
vivo en Madrid y no quiero vivir en Barcelona
no quiero vivir cerca del aeropuerto
mi abuela murió el año pasado
""".strip().splitlines()

LEGAL_THREAT = """
I will sue you
I'm going to take you to court
you will hear from my lawyer
My attorney will contact you
I am thinking about legal action
I'm filing a lawsuit against your bank
we are suing the company
see you in small claims court
I'll press charges
I have hired a lawyer
Os voy a demandar
los voy a demandar si no me devuelven el dinero
le voy a denunciar
vamos a denunciaros
voy a demandar a la empresa
pondré una demanda
presentaremos una demanda
mi abogado se pondrá en contacto con ustedes
nos veremos en los tribunales
voy a llevaros a juicio
tomaré acciones legales
ya he enviado un burofax
voy a hablar con un abogado
""".strip().splitlines()

NO_LEGAL_THREAT = """
my lawyer's invoice is wrong
I need a power of attorney form
which court do I play tennis on
can you recommend a lawyer
I work for a law firm
Sue is my wife's name
the tennis court was booked twice
is there a charge for this
hay mucha demanda de entradas
la demanda ha subido
quiero reservar una pista
soy abogada y busco un seguro
necesito un poder notarial
¿cuánto cuesta la comunidad?
""".strip().splitlines()


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    texts = {name: (LIBRARY / name).read_text("utf-8") for name in ("general.yaml", "queues.yaml")}
    return Matcher(files_or_raise(texts).topics)


def _topics(matcher: Matcher, sentence: str) -> set[str]:
    return {hit.topic for hit in matcher.find(sentence, "message")}


@pytest.mark.parametrize("sentence", SELF_HARM)
def test_who_may_hurt_themselves_is_heard(matcher: Matcher, sentence: str) -> None:
    assert "self_harm" in _topics(matcher, sentence)


@pytest.mark.parametrize("sentence", NO_SELF_HARM)
def test_who_does_not_speak_of_it_is_not(matcher: Matcher, sentence: str) -> None:
    assert "self_harm" not in _topics(matcher, sentence)


@pytest.mark.parametrize("sentence", LEGAL_THREAT)
def test_who_threatens_with_the_law_is_heard(matcher: Matcher, sentence: str) -> None:
    assert "legal_threat" in _topics(matcher, sentence)


@pytest.mark.parametrize("sentence", NO_LEGAL_THREAT)
def test_who_speaks_of_law_otherwise_is_not(matcher: Matcher, sentence: str) -> None:
    assert "legal_threat" not in _topics(matcher, sentence)
