from edgebert.inputs.token_spans import of_words, without_blanks


def test_a_span_does_not_begin_with_blanks() -> None:
    assert without_blanks((1, 5), "a bcd") == (2, 5)
    assert without_blanks((0, 3), " \u00a0x") == (2, 3)
    assert without_blanks((1, 2), "a b") == (2, 2)


def test_the_tokens_of_a_word_have_its_characters() -> None:
    assert of_words([(0, 2), (2, 4), (5, 6)], [0, 0, 1]) == [(0, 4), (0, 4), (5, 6)]
    # Tokens of no word are each by themselves.
    assert of_words([(0, 2), (2, 4)], [None, None]) == [(0, 2), (2, 4)]
