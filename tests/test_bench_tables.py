"""The pages that the tables of results are put on."""

from pathlib import Path

from bench.carry_over_tables import headline
from bench.tables import MARKER
from bench.tables import main as write_pages


def test_without_a_measurement_the_first_page_is_what_was_written_around_its_table(tmp_path: Path):
    (tmp_path / "reading.md").write_text(f"# Results\n\n{MARKER}\n\nWords.\n")
    write_pages([
        "--results", str(tmp_path), "--reading", str(tmp_path / "reading.md"),
        "--out", str(tmp_path / "pages"),
    ])  # fmt: skip
    assert (tmp_path / "pages" / "index.md").read_text() == "# Results\n\n\n\nWords.\n"
    assert "Not measured yet" in (tmp_path / "pages" / "carry_over.md").read_text()


def test_the_first_table_has_the_detector_the_best_others_and_the_floor() -> None:
    means = {"random": 0.1, "l2": 0.2, "amad": 0.5, "pca": 0.3, "cnn": 0.6, "ridge": 0.4}
    means |= {"linear": 0.35, "kmeans": 0.25}
    form = {
        "fleets": ["one"],
        "vus_pr": {name: {"one": mean} for name, mean in means.items()},
        "mean": {name: [mean, mean - 0.1, mean + 0.1] for name, mean in means.items()},
    }
    lines = headline({"protocols": {"test": {"online": form, "offline": form}}})
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["**amad**", "cnn", "ridge", "linear", "pca", "kmeans", "*random*"]
    assert lines[0] == "| VUS-PR, offline | one | mean, offline | mean, online |"
    assert lines[2] == "| **amad** | 0.500 | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] |"


def test_the_pages_of_results_are_those_that_the_measurements_make(tmp_path: Path) -> None:
    """An edit of a page alone would be lost with the next measurement."""
    root = Path(__file__).resolve().parent.parent
    measured = root / "bench" / "results"
    reading = root / "bench" / "reading.md"
    write_pages(["--results", str(measured), "--reading", str(reading), "--out", str(tmp_path)])
    made = {page.name: page.read_text(encoding="utf-8") for page in tmp_path.iterdir()}
    pages = root / "docs" / "results"
    assert made == {page.name: page.read_text(encoding="utf-8") for page in pages.iterdir()}
