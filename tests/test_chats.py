"""Saved conversations, their export, and the tallies of votes."""

import json
import random

from core import chats, home, votes
from core.chat_export import as_jsonl, as_markdown
from core.chats import Chat, Reply, Turn
from core.data.formats.messages import COLUMNS, conversation


def reply(model: str, text: str, **more) -> Reply:
    return Reply(model=model, label=model.title(), tuned=model != "base", content=text, stopped=False, **more)


def two_panes() -> Chat:
    first = Turn(question="Hi", system="Be kind.", answers=[reply("base", "B1"), reply("run", "R1", correction="R1!")])
    lost = Turn(question="Lost?", answers=[reply("base", ""), reply("run", "")])
    return Chat(turns=[first, lost, Turn(question="And?", answers=[reply("base", "B2"), reply("run", "R2")])])


def test_a_conversation_is_the_same_after_saving():
    chat = two_panes()
    chats.save(chat)
    (read,) = chats.saved_chats()
    assert read == chat and read.title == "Hi" and read.has("r1!") and not read.has("nowhere")


def test_what_was_being_written_when_the_power_went_can_be_asked_again():
    chat = Chat(turns=[Turn(question="Hi", state="writing", answers=[Reply(model="a", label="A", tuned=False)])])
    chats.save(chat)
    (read,) = chats.saved_chats()
    assert read.turns[0].state == "over" and read.turns[0].answers[0].stopped


def test_a_conversation_without_words_is_not_saved():
    chats.save(Chat())
    assert chats.saved_chats() == []


def test_what_is_changed_in_an_opened_conversation_does_not_change_the_list():
    chats.save(two_panes())
    chats.opened(chats.saved_chats()[0]).turns.clear()
    assert chats.saved_chats()[0].turns


def test_two_tabs_that_go_on_with_one_conversation_lose_nothing():
    chats.save(two_panes())
    one, two = (chats.opened(chats.saved_chats()[0]) for _ in range(2))
    for chat, question in ((one, "From one"), (two, "From two"), (two, "Again")):
        chat.turns.append(Turn(question=question))
        chats.save(chat)
    assert [chat.turns[-1].question for chat in chats.saved_chats()] == ["Again", "From one"]


def test_a_tab_shows_what_another_one_has_added_unless_it_is_answering_itself():
    chats.save(two_panes())
    one, two = (chats.opened(chats.saved_chats()[0]) for _ in range(2))
    assert chats.newest(two) is two
    one.turns.append(Turn(question="From one"))
    chats.save(one)
    assert chats.newest(two) == one and chats.newest(one) is one
    two.turns[-1].state = "writing"
    assert chats.newest(two) is two


def test_a_deleted_conversation_stays_so_when_its_answer_ends():
    chat = two_panes()
    chats.save(chat)
    chats.delete(chat)
    chats.save(chat)
    assert chats.saved_chats() == []


def test_each_model_reads_its_own_answers_with_their_corrections_and_no_lost_question():
    chat = two_panes()
    prompts = [[message["content"] for message in chat.prompt(chat.turns[2], pane)] for pane in (0, 1)]
    assert prompts == [["Hi", "B1", "And?"], ["Hi", "R1!", "And?"]]
    assert chat.prompt(chat.turns[0])[0] == {"role": "system", "content": "Be kind."}
    chat.turns[1].answers[0].content = "\n"
    assert [message["content"] for message in chat.prompt(chat.turns[2])] == prompts[0]


def test_a_pane_that_joined_later_reads_what_it_shows():
    chat = Chat(turns=[Turn(question="Hi", answers=[reply("base", "B")]), Turn(question="And?")])
    assert [message["content"] for message in chat.prompt(chat.turns[1], 1)] == ["Hi", "B", "And?"]


def test_the_shuffle_is_that_of_its_seed_and_both_orders_come():
    answers = [reply("base", "B"), reply("run", "R")]
    orders = {tuple(Turn(question="Hi", seed=seed, answers=answers).pane_at(p) for p in (0, 1)) for seed in range(20)}
    assert orders == {(0, 1), (1, 0)}
    assert [Turn(question="Hi", answers=answers).pane_at(p) for p in (0, 1, 2)] == [0, 1, 0]


def test_the_export_as_json_lines_is_data_to_train_on():
    lines = [json.loads(line) for line in as_jsonl(two_panes()).splitlines()]
    assert [line["model"] for line in lines] == ["base", "run"]
    said = [message["content"] for message in conversation(lines[1], COLUMNS).messages]
    assert said == ["Hi", "R1!", "And?", "R2"]


def test_what_was_cut_or_stopped_is_exported_to_be_read_and_not_learned():
    chat = two_panes()
    chat.turns[0].answers[0].finish_reason = chat.turns[0].answers[1].finish_reason = "length"
    chat.turns[2].answers[1].stopped = True
    learned = [
        [message.get("weight") for message in json.loads(line)["messages"] if message["role"] == "assistant"]
        for line in as_jsonl(chat).splitlines()
    ]
    assert learned == [[0, None], [None, 0]]  # the tuned one's first answer was corrected


def test_the_export_as_markdown_says_who_said_what():
    text = as_markdown(two_panes())
    assert "# Hi\n" in text and "### Run (corrected)\n\nR1!" in text and "*System prompt:* Be kind." in text


def test_what_is_exported_of_a_blind_comparison_is_blind_until_the_vote():
    seed = next(
        seed
        for seed in range(20)
        if Turn(question="Hi", seed=seed, answers=[reply("a", ""), reply("b", "")]).pane_at(0)
    )
    turn = Turn(question="Hi", seed=seed, answers=[reply("base", "B"), reply("run", "R")])
    chat = Chat(turns=[turn])
    assert "### Answer A\n\nR\n\n### Answer B\n\nB\n" in as_markdown(chat)
    assert [json.loads(line)["messages"][-1]["content"] for line in as_jsonl(chat).splitlines()] == ["R", "B"]
    assert not any(
        name in export(chat) for name in ("base", "Base", "run", "Run") for export in (as_jsonl, as_markdown)
    )
    turn.better = turn.answers[1].id
    assert "### Run (better)\n\nR\n\n### Base" in as_markdown(chat) and '"model": "run"' in as_jsonl(chat)


def test_wins_ties_and_losses_are_counted_pair_by_pair():
    def vote(winner: int | None) -> None:
        turn = Turn(question="Hi", seed=random.randrange(99), answers=[reply(m, m) for m in ("base", "run", "other")])
        turn.better = "tie" if winner is None else turn.answers[winner].id
        votes.vote(turn, [{"role": "user", "content": "Hi"}])

    for winner in (1, 1, None, 0):
        vote(winner)
    with home.votes_file().open("a") as file:
        file.write('{"half')
    found = {(tally.model, tally.against): (tally.wins, tally.ties, tally.losses) for tally in votes.tallies()}
    assert found == {("Base", "Run"): (1, 1, 2), ("Base", "Other"): (1, 1, 0), ("Other", "Run"): (0, 1, 2)}
    row = json.loads(home.votes_file().read_text().split("\n")[0])
    assert row["prompt"].startswith("sha256:") and row["winner"] == "run" and row["time"] > 0
