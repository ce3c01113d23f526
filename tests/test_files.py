"""Files that are whole or not there, whoever else writes them at the same moment."""

from concurrent.futures import ThreadPoolExecutor

from core.files import write_whole


def test_threads_that_write_one_file_leave_one_of_their_texts_whole_and_nothing_else(tmp_path):
    path = tmp_path / "draft.yaml"
    texts = [f"{number}\n" * 50 for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_whole(path, text), texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
