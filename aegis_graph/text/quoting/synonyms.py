"""Words that ask for the same thing: what a question calls cost, a document calls price or fee.

Only words that nearly always mean the same are here. A semicolon ends a group, English and German.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aegis_graph.text.words import words

_GROUPS = """
cost costs price prices priced pricing fee fees charge charged charges kosten kostet preis preise
  gebühr gebühren entgelt;
default defaults standard standardmäßig standardwert voreingestellt voreinstellung vorgabe;
maximum max maximal maximale maximalen höchstens most limit limits limited largest biggest longest
  höchstgrenze obergrenze höchstzahl size;
minimum min minimal minimale minimalen mindestens least smallest shortest mindest;
create created creator creators author authors wrote written founder founded invented entwickelt
  erfunden autor gegründet gründer erstellt;
delete deleted remove removed erase uninstall deinstall löschen gelöscht entfernen entfernt
  entferne entfernst lösche;
disable disabled deactivate deaktivieren deaktiviert deaktiviere abschalten ausschalten
  ausgeschaltet;
enable enabled enabling activate aktivieren aktiviert aktiviere einschalten eingeschaltet;
install installed installing installation installieren installiere installiert;
require required requires requirement requirements need needs needed braucht brauche benötigt
  benötige benötigen erforderlich voraussetzung anforderung anforderungen erfordert;
allow allowed allows permit permitted may erlaubt darf dürfen gestattet zulässig;
forbidden prohibited verboten untersagt unzulässig;
keep kept store stored stores retain retained retention speichern gespeichert aufbewahrt
  aufbewahrung aufbewahrungsfrist;
change changed modify edit ändern geändert bearbeiten;
cancel cancelled cancellation terminate terminated kündigen kündigung gekündigt kündigungsfrist
  stornieren storniert;
notice kündigungsfrist;
begin begins start starts started beginnt beginnen beginn fängt;
end ends finish expires expire ends endet enden ablauf;
release released publish published erschienen veröffentlicht veröffentlichung;
contact reach hotline kontakt erreichen erreichbar;
confidential vertraulich vertrauliche vertraulichen vertraulicher;
private privacy privat datenschutz;
phone telephone telefon telefonnummer hotline;
mail email mailadresse;
warranty guarantee garantie gewährleistung;
deliver delivery shipping shipped ship lieferung liefern geliefert versand;
pay paid payment zahlen bezahlen zahlung gezahlt;
refund refunded refunds reimbursed rückerstattung erstattet erstattung;
holiday vacation leave urlaub urlaubstage;
lead leads leader manage manages manager head heads chair chairs leitet leiten leiter
  leiterin leitung;
weigh weighs weight wiegt gewicht;
responsible owns charge zuständig verantwortlich verantwortung;
permission rights berechtigung rechte;
supported support supports unterstützt unterstützen;
license licence licensed lizenz;
error errors failure fehler;
timeout timeouts zeitlimit zeitüberschreitung;
combine together exclusive zusammen gleichzeitig kombinieren;
memory ram arbeitsspeicher speicher;
disk festplatte speicherplatz;
run runs läuft laufen;
use used uses using verwendet verwenden benutzt nutzt;
"""


_WITH_ZU = re.compile(
    "(an|aus|auf|ein|ab|vor|nach|mit|bei|um|her|hin|los|weg|fest|zuruck|durch|wieder|weiter)zu(.{2,}n)"
)
"""An infinitive such as `anzuziehen`, folded."""


def _table() -> Mapping[str, frozenset[str]]:
    table: dict[str, frozenset[str]] = {}
    for line in _GROUPS.split(";"):
        group = frozenset(words(line))
        for word in group:
            table[word] = table.get(word, frozenset()) | group
    return table


_SYNONYMS = _table()


def synonyms(word: str) -> frozenset[str]:
    """The words that ask for the same; empty for a word without any.

    Example:
        >>> "preis" in synonyms("cost")
        True
    """
    found = _SYNONYMS.get(word, frozenset()) - {word}
    separable = _WITH_ZU.fullmatch(word)
    return found | {separable[1] + separable[2]} if separable else found
