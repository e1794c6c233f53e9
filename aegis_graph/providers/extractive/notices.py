"""What the extractive model says of itself, apart from the rules by which it quotes."""

MODEL_NAME = "best-sentences"
MARKER = "(Extractive answer: sentences quoted from the documents; no language model was asked.)"
NO_PASSAGES = "The prompt has no passages, so there is nothing to quote."
NOTHING_FOUND = "No passage was found for this question, so there is nothing to quote."
NO_ANSWER = "None of the passages answers this question."
OTHER_LANGUAGE = "Only questions in English and German can be answered by quoting."
GERMAN = {
    MARKER: "(Zitate aus den Dokumenten; kein Sprachmodell wurde gefragt.)",
    NO_PASSAGES: "Der Prompt enthält keine Textstellen, also gibt es nichts zu zitieren.",
    NOTHING_FOUND: "Zu dieser Frage wurde keine Textstelle gefunden, die zu zitieren wäre.",
    NO_ANSWER: "Keine der Textstellen beantwortet diese Frage.",
}
NOTICES = (*GERMAN, *GERMAN.values(), OTHER_LANGUAGE)
"""The sentences of its own, beside quotes, in English and in German."""
