"""Documents at size: mlfolio beside LangChain's splitter + Chroma, and how long an answer takes.

    python -m venv PEER
    PEER/bin/pip install chromadb langchain-chroma langchain-huggingface langchain-text-splitters \
        sentence-transformers pypdfium2 python-docx
    python benchmarks/retrieval.py files FOLDER --peer PEER/bin/python
    MLFOLIO_DATA=DATA python benchmarks/retrieval.py store 1000000 --peer PEER/bin/python
    MLFOLIO_DATA=DATA python benchmarks/retrieval.py answers --index PLACE

`files`: from a folder of files to an index that answers (reading, cutting, embedding, storing), and
a question from its text to the passages' texts. Loading the weights is left out. The peer is
written as its tutorials write it: RecursiveCharacterTextSplitter with 1,000 characters and 200 of
overlap, MiniLM by sentence-transformers in fp32, Chroma on disk as LangChain sets it up. Chroma's
own default runs the same weights by onnxruntime and downloads them; that was not measured.

`store`: storing and asking alone, of so many chunks that nobody has to embed them for hours. They
are synthetic: each is made of two real passages (MedQuAD's answers, IMDB's reviews) drawn at
random, a piece of the text of either and the mean of their vectors in the same shares, with a
little noise. So its words are those of 20,000 passages, and so is the room its vectors fill; a real
collection of that size has more of both. What is asked are 500 other real passages: their vectors,
and twelve of their words. Both sides get the same texts and vectors; ours in the batches of `sync`,
the peer in batches of 4,096. Seconds are of the calls of the stores. Recall is of vectors alone,
against all of them compared in NumPy.

`answers`: the 16,407 answers of MedQuAD as documents, and its questions through the model, without
a language model; what is asked is a question of the collection itself. With `--index` the index
stays, and the next run needs no minutes to make it.

Each side runs in a process of its own; its memory is the peak of all it does. On a machine that
others use too, compare CPU seconds: wall time is theirs as well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REAL, HELD_OUT = 20_000, 600  # passages that chunks are made of, and that are asked
WARM, PASSES = (
    100,
    3,
)  # questions of `store` that do not count; passes of `files`, the first does not
BLOCK, PER_DOCUMENT = 4096, 8  # chunks that are made at once, and chunks of a document
NOISE, SEED, BEST = 0.1, 0, 10
DOCUMENTS, ASKED = 5, 300  # passages of an answer; questions to MedQuAD

Result = dict[str, Any]
Vectors = NDArray[np.float32]


def main() -> None:
    """Runs what is asked for and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    ways = parser.add_subparsers(dest="way", required=True)
    files = ways.add_parser("files")
    files.add_argument("folder", type=Path)
    store = ways.add_parser("store")
    store.add_argument("rows", type=int)
    store.add_argument("--passages", type=Path, help="where the real ones are, or will be kept")
    for each in (files, store):
        each.add_argument("--peer", required=True, help="its Python")
    answers = ways.add_parser("answers")
    answers.add_argument("--index", type=Path, help="a folder where the index is, or will be kept")
    side = ways.add_parser("side", help="what runs in a process of its own")
    side.add_argument("name", choices=SIDES)
    side.add_argument("folder", type=Path)
    for each in (files, store, answers):
        each.add_argument("--json", type=Path, help="a file for the numbers")
    asked = parser.parse_args()
    if asked.way == "side":
        order = json.loads((asked.folder / "order.json").read_text("utf-8"))
        found = SIDES[asked.name](order, asked.folder)
        whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        found["MiB"] = sum(resource.getrusage(who).ru_maxrss for who in whose) / 1024
        (asked.folder / "found.json").write_text(json.dumps(found), "utf-8")
        return
    if asked.way == "files":
        found = both("files", asked.peer, files_order(asked.folder))
        ours, peer = found["mlfolio"], found["peer"]
        for each in (ours, peer):
            each["source characters/s"] = peer["source characters"] / each["seconds"]
    elif asked.way == "store":
        found = in_store(asked.rows, asked.peer, asked.passages)
    else:
        order = {"index": str(asked.index.resolve()) if asked.index else None}
        found = {"mlfolio": alone(sys.executable, "answers", order)}
    show(found)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1), "utf-8")


def both(what: str, peer: str, order: Result) -> dict[str, Result]:
    """What either side finds, one after the other."""
    return {
        "mlfolio": alone(sys.executable, f"{what}-ours", order),
        "peer": alone(peer, f"{what}-peer", order),
    }


def alone(python: str, side: str, order: Result) -> Result:
    """What a side finds, in a process and an empty folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "order.json").write_text(json.dumps(order), "utf-8")
        say(f"{side} ...")
        offline = {"ANONYMIZED_TELEMETRY": "False", "HF_HUB_OFFLINE": "1"}
        command = [python, __file__, "side", side, folder]
        subprocess.run(command, check=True, env=os.environ | offline)
        found: Result = json.loads((Path(folder) / "found.json").read_text("utf-8"))
    return found


def show(found: dict[str, Result]) -> None:
    """Prints a line a number, and the peer's as a multiple of ours."""
    ours, peer = found["mlfolio"], found.get("peer", {})
    print(f"{'':34}{'mlfolio':>12}" + (f"{'peer':>12}{'peer/ours':>12}" if peer else ""))
    for name in dict.fromkeys([*ours, *peer]):
        line = f"{name:34}"
        for side in (ours, peer):
            line += f"{side[name]:12,.{digits(side[name])}f}" if name in side else " " * 12
        if ours.get(name) and name in peer:
            line += f"{peer[name] / ours[name]:12.3g}"
        print(line.rstrip())


def digits(number: float) -> int:
    """Decimals that are worth a look."""
    return 4 if number <= 1 else 1 if number < 1000 else 0


def say(text: str) -> None:
    """Shows how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def timed(work: Callable[[], Any]) -> Result:
    """The wall and CPU seconds of some work, with those of processes that ended within it."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    return {"seconds": time.perf_counter() - wall, "CPU seconds": sum(os.times()[:4]) - cpu}


def milliseconds(name: str, ask: Callable[[Any], object], questions: Iterable[Any]) -> Result:
    """What the questions take, asked one after the other."""
    times = []
    for question in questions:
        started = time.perf_counter()
        ask(question)
        times.append((time.perf_counter() - started) * 1000)
    return {f"{name} p{p}, ms": float(np.percentile(times, p)) for p in (50, 95, 99)}


def disk(folder: Path) -> float:
    """MiB of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


# From files to an index that answers


def files_order(folder: Path) -> Result:
    """The same files and questions for both."""
    from mlfolio.core.source import Source
    from mlfolio.parts.retrieval.sync import list_files
    from mlfolio.parts.text.embed import BUNDLED, find_encoder
    from mlfolio.systems.documents.data import load_corpus

    folder = folder.resolve()
    known, _ = list_files(folder)
    return {
        "files": {name: str(path) for name, path in known.items()},
        "weights": str(find_encoder(BUNDLED)),
        "questions": [question.text for question in load_corpus(Source.own(folder)).test],
    }


def files_ours(order: Result, place: Path) -> Result:
    """Our index of the files, on disk, and hybrid queries."""
    from mlfolio.parts.retrieval import apart
    from mlfolio.parts.retrieval.search import best_hits, find
    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import Document, sync
    from mlfolio.parts.text.embed import get_encoder

    encoder = get_encoder()
    encoder.encode_query("warm")
    index = LanceIndex(place / "index", encoder.dimension)

    def build() -> None:
        documents = [Document.of_file(Path(path), name) for name, path in order["files"].items()]
        sync(index, documents, encoder)
        apart.close()  # what the processes that read the files took counts too

    found = timed(build)
    found["files"], found["chunks"] = len(order["files"]), len(index)
    found["chunks/s"] = found["chunks"] / found["seconds"]
    found["disk, MiB"] = disk(place)

    def ask(question: str) -> object:
        return best_hits(index, find(index, encoder, question), DOCUMENTS)

    milliseconds("", ask, order["questions"])
    return found | milliseconds("question", ask, order["questions"] * (PASSES - 1))


def files_peer(order: Result, place: Path) -> Result:
    """LangChain's splitter, sentence-transformers and Chroma, as a user writes it."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    embeddings = HuggingFaceEmbeddings(
        model_name=order["weights"],
        model_kwargs={"device": "cpu"},
        encode_kwargs={"normalize_embeddings": True},
    )
    embeddings.embed_query("warm")
    kept: Result = {}

    def build() -> None:
        documents = [
            Document(page_content=read(Path(path)), metadata={"source": name})
            for name, path in order["files"].items()
        ]
        splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
        splits = splitter.split_documents(documents)
        kept["store"] = Chroma.from_documents(
            splits, embeddings, persist_directory=str(place / "index")
        )
        kept["chunks"] = len(splits)
        kept["characters"] = sum(len(document.page_content) for document in documents)

    found = timed(build)
    found["files"], found["chunks"] = len(order["files"]), kept["chunks"]
    found["source characters"] = kept["characters"]
    found["chunks/s"] = found["chunks"] / found["seconds"]
    found["disk, MiB"] = disk(place)

    def ask(question: str) -> object:
        return kept["store"].similarity_search(question, k=DOCUMENTS)

    milliseconds("", ask, order["questions"])
    return found | milliseconds("question", ask, order["questions"] * (PASSES - 1))


def read(path: Path) -> str:
    """A file's text, as a user's script reads it."""
    if path.suffix.lower() == ".pdf":
        import pypdfium2

        pages = pypdfium2.PdfDocument(path)
        return "\n".join(page.get_textpage().get_text_range() for page in pages)
    if path.suffix.lower() == ".docx":
        from docx import Document

        return "\n".join(paragraph.text for paragraph in Document(str(path)).paragraphs)
    return path.read_text("utf-8", errors="replace")


# Storing and asking alone


@dataclass(frozen=True)
class Passages:
    """Real passages: the words and the unit vectors, shape (n, dimension)."""

    words: list[list[str]]
    vectors: Vectors

    @classmethod
    def of(cls, file: Path) -> Passages:
        """Those that `gather` has put into a file."""
        with np.load(file) as stored:
            texts = json.loads(stored["texts"].tobytes())
            return cls([text.split() for text in texts], stored["vectors"])

    def asked(self) -> tuple[list[str], Vectors]:
        """Words and vectors of the questions; those of the first `WARM` do not count."""
        return [" ".join(words[:12]) for words in self.words[REAL:]], self.vectors[REAL:]

    def mixed(self, rows: int) -> Iterator[tuple[int, list[str], Vectors]]:
        """Blocks of chunks: the number of the first one, the texts and unit vectors of all."""
        for first in range(0, rows, BLOCK):
            count = min(BLOCK, rows - first)
            rng = np.random.default_rng([SEED, first])
            one, other = rng.integers(REAL, size=(2, count))
            share = rng.uniform(0.3, 0.7, size=(count, 1)).astype(np.float32)
            vectors = share * self.vectors[one] + (1 - share) * self.vectors[other]
            noise = rng.standard_normal(vectors.shape, dtype=np.float32)
            vectors += NOISE / np.sqrt(vectors.shape[1]) * noise
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            texts = [
                " ".join(self._piece(a, part) + self._piece(b, 1 - part))
                for a, b, part in zip(one, other, share[:, 0], strict=True)
            ]
            yield first, texts, vectors

    def _piece(self, passage: int, share: float) -> list[str]:
        words = self.words[passage]
        return words[: max(1, round(share * len(words)))]


def in_store(rows: int, peer: str, file: Path | None) -> dict[str, Result]:
    """Both sides on the same chunks, and how many of the nearest ones they find."""
    with tempfile.TemporaryDirectory() as folder:
        passages = (file or Path(folder) / "passages.npz").resolve()
        order = {"passages": str(passages), "rows": rows}
        if not passages.is_file():
            alone(sys.executable, "gather", order)
        found = both("store", peer, order)
        nearest = exact(Passages.of(passages), rows)
    for each in found.values():
        hits = [len(set(a) & set(b)) for a, b in zip(each.pop("found"), nearest, strict=True)]
        each[f"recall@{BEST}"] = float(np.mean(hits)) / BEST
    return found


def gather(order: Result, place: Path) -> Result:
    """Cuts and embeds the real passages, and keeps them in a file."""
    import pandas as pd

    from mlfolio.parts.retrieval.chunk import BY_SENTENCES
    from mlfolio.parts.retrieval.sync import Document, cut_up
    from mlfolio.parts.text.embed import get_encoder

    encoder, data = get_encoder(), Path(os.environ["MLFOLIO_DATA"])
    reviews = pd.read_csv(data / "imdb/IMDB Dataset.csv.zip")["review"].str.replace("<br />", " ")
    half, texts = (REAL + HELD_OUT) // 2, list[str]()
    for source in ([pair["output"] for pair in medquad()], reviews.tolist()):
        cut = set[str]()
        for text in random.Random(SEED).sample(source, len(source)):
            if len(cut) >= half:
                break
            cut |= {
                chunk.text
                for chunk in cut_up(Document.of_text("", "", text), encoder, BY_SENTENCES)
            }
        texts += sorted(cut)[:half]
    random.Random(SEED).shuffle(texts)
    parts = []
    for first in range(0, len(texts), BLOCK):
        parts.append(encoder.encode(texts[first : first + BLOCK]))
        say(f"embedded {min(first + BLOCK, len(texts)):,} of {len(texts):,} real passages")
    as_bytes = np.frombuffer(json.dumps(texts).encode(), np.uint8)
    np.savez(order["passages"], vectors=np.concatenate(parts), texts=as_bytes)
    return {}


def medquad() -> list[dict[str, str]]:
    """Questions ("instruction"), answers ("output") and what they are about ("focus")."""
    import pandas as pd

    file = Path(os.environ["MLFOLIO_DATA"]) / "instructions" / "medquad.jsonl.zip"
    rows: list[dict[str, str]] = pd.read_json(file, lines=True).to_dict("records")
    return rows


def store_ours(order: Result, place: Path) -> Result:
    """Our index: the calls that `sync` makes."""
    from mlfolio.parts.retrieval.chunk import Chunk
    from mlfolio.parts.retrieval.index import Entry
    from mlfolio.parts.retrieval.search import best_hits, find_by
    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import _BATCH_CHUNKS

    passages, rows = Passages.of(order["passages"]), order["rows"]
    index = LanceIndex(place / "index", passages.vectors.shape[1])
    found = Spent(rows)
    index.leave_trace()
    for first, texts, vectors in passages.mixed(rows):
        chunks = [Chunk(text, "", None, at % PER_DOCUMENT) for at, text in enumerate(texts)]
        for at in range(0, len(texts), _BATCH_CHUNKS):
            batch = range(at, min(at + _BATCH_CHUNKS, len(texts)))
            documents = {
                name(first + at): Entry("", chunks[at : min(at + PER_DOCUMENT, batch.stop)])
                for at in batch[::PER_DOCUMENT]
            }
            found.add(lambda: index.replace(documents, vectors[batch.start : batch.stop]))  # noqa: B023
        found.tell(first + len(texts))
    added = found.seconds
    found.add(index.rewrite)
    result = found.result() | {"of these in rewrite, s": found.seconds - added}
    result["disk, MiB"] = disk(place)

    def nearest(asked: tuple[str, Vectors]) -> list[str]:
        near = index.nearest(asked[1], BEST)
        index.passages(near.ids, near.rows)
        return near.ids

    def hybrid(asked: tuple[str, Vectors]) -> object:
        return best_hits(index, find_by(index, *asked), BEST)

    questions = list(zip(*passages.asked(), strict=True))
    for number, ask in {"vectors": nearest, "vectors and words": hybrid}.items():
        milliseconds("", ask, questions[:WARM])
        result |= milliseconds(number, ask, questions[WARM:])
    ids = [[chunk.rpartition("#") for chunk in nearest(each)] for each in questions[WARM:]]
    result["found"] = [[int(d) + int(position) for d, _, position in near] for near in ids]
    return result


def store_peer(order: Result, place: Path) -> Result:
    """A collection of Chroma on disk, as it is without settings."""
    import chromadb

    passages, rows = Passages.of(order["passages"]), order["rows"]
    client = chromadb.PersistentClient(str(place / "index"))
    collection = client.create_collection("chunks", embedding_function=None)
    found = Spent(rows)
    for first, texts, vectors in passages.mixed(rows):
        numbers = range(first, first + len(texts))
        batch = {
            "ids": [str(number) for number in numbers],
            "embeddings": vectors,
            "documents": texts,
            "metadatas": [{"source": name(n - n % PER_DOCUMENT)} for n in numbers],
        }
        found.add(lambda: collection.add(**batch))  # noqa: B023
        found.tell(first + len(texts))
    result = found.result() | {"disk, MiB": disk(place)}

    def nearest(vector: Vectors) -> list[str]:
        ids: list[str] = collection.query(query_embeddings=[vector], n_results=BEST)["ids"][0]
        return ids

    _, vectors = passages.asked()
    milliseconds("", nearest, vectors[:WARM])
    result |= milliseconds("vectors", nearest, vectors[WARM:])
    result["found"] = [[int(each) for each in nearest(vector)] for vector in vectors[WARM:]]
    return result


def name(first: int) -> str:
    """Of the document whose first chunk has that number."""
    return f"{first:09}"


class Spent:
    """The seconds of a store's calls, without those in which its texts are made."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.seconds = self.cpu = 0.0

    def add(self, work: Callable[[], Any]) -> None:
        """Works, and counts."""
        spent = timed(work)
        self.seconds += spent["seconds"]
        self.cpu += spent["CPU seconds"]

    def tell(self, done: int) -> None:
        """Shows how far it is, each twentieth."""
        if done // BLOCK % max(1, self.rows // BLOCK // 20) == 0 or done == self.rows:
            say(f"stored {done:,} of {self.rows:,} chunks in {self.seconds:.0f} s")

    def result(self) -> Result:
        """All of it."""
        return {
            "chunks": self.rows,
            "seconds": self.seconds,
            "CPU seconds": self.cpu,
            "chunks/s": self.rows / self.seconds,
        }


def exact(passages: Passages, rows: int) -> list[list[int]]:
    """The numbers of the nearest chunks of each question, all compared."""
    _, asked = passages.asked()
    asked = asked[WARM:]
    best, scores = np.zeros((len(asked), 0), np.int64), np.zeros((len(asked), 0), np.float32)
    for first, texts, vectors in passages.mixed(rows):
        numbers = np.broadcast_to(np.arange(first, first + len(texts)), (len(asked), len(texts)))
        best = np.concatenate([best, numbers], axis=1)
        scores = np.concatenate([scores, asked @ vectors.T], axis=1)
        kept = np.argpartition(-scores, BEST, axis=1)[:, :BEST]
        best, scores = np.take_along_axis(best, kept, 1), np.take_along_axis(scores, kept, 1)
    found: list[list[int]] = best.tolist()
    return found


# How long an answer takes


def answers(order: Result, place: Path) -> Result:
    """MedQuAD's answers as documents, and its questions through the model."""
    from tqdm import tqdm

    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import Document, sync
    from mlfolio.parts.text.embed import get_encoder
    from mlfolio.systems.documents.answers import DocumentQuestion
    from mlfolio.systems.documents.model import DocumentsModel
    from mlfolio.systems.documents.settings import Settings

    if os.environ.get("MLFOLIO_LLM"):
        sys.exit("unset MLFOLIO_LLM: answers are measured without a language model")
    encoder, pairs = get_encoder(), medquad()
    index = LanceIndex(Path(order["index"] or place / "index"), encoder.dimension)
    documents = [
        Document.of_text(f"{at:05}", pair["focus"] or "", pair["output"])
        for at, pair in enumerate(pairs)
    ]
    progress = lambda items, what, total=None: tqdm(items, what, total, mininterval=10)  # noqa: E731
    found: Result = {"documents": len(documents)}
    there = len(index)
    indexed = timed(lambda: sync(index, documents, encoder, progress=progress))
    found["chunks"] = len(index)
    if not there:
        found |= indexed | {"chunks/s": len(index) / indexed["seconds"]}
    found["disk, MiB"] = disk(index.folder)

    model = DocumentsModel(index, Settings(), encoder)
    model.warm()
    asked = sorted({pair["instruction"] for pair in pairs})  # none is asked twice and remembered
    asked = random.Random(SEED).sample(asked, 2 * ASKED + WARM)
    questions = [DocumentQuestion(question=text) for text in asked]

    def ask(question: DocumentQuestion) -> bool:
        return model.predict([question])[0].found

    milliseconds("", ask, questions[:WARM])
    given = list[bool]()
    one_by_one = questions[WARM : WARM + ASKED]
    found |= milliseconds("answer", lambda question: given.append(ask(question)), one_by_one)
    found["share with an answer"] = float(np.mean(given))
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as two:
        list(two.map(ask, questions[-ASKED:]))
    found["answers/s, two at once"] = ASKED / (time.perf_counter() - started)
    return found


SIDES: dict[str, Callable[[Result, Path], Result]] = {
    "files-ours": files_ours,
    "files-peer": files_peer,
    "gather": gather,
    "store-ours": store_ours,
    "store-peer": store_peer,
    "answers": answers,
}


if __name__ == "__main__":
    main()
