"""The command that measures, as its user meets it."""

import pytest

from experiments.bench import SECTIONS, main, parser

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sped"], "no section 'sped', choose of speed, workers, recipes, overheads"),
        (["speed", "--rounds", "0"], "must be a whole number >= 1, got '0'"),
        (["--rounds", "few"], "must be a whole number >= 1, got 'few'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_measured(
    arguments: list[str], said: str, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert said in capsys.readouterr().err


def test_a_text_that_cannot_be_had_is_bad_input(capsys: Capture) -> None:
    assert main(["--corpus", "nowhere.txt"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere.txt: cannot be read")


def test_without_sections_all_are_measured() -> None:
    arguments = parser().parse_args([])
    assert (arguments.sections or list(SECTIONS)) == [
        "speed",
        "workers",
        "recipes",
        "overheads",
        "safety",
        "decisions",
        "distance",
        "promotion",
        "headline",
        "mirror",
        "report",
    ]
