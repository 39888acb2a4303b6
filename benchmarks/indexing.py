"""Indexing a folder and asking it: mlfolio's documents beside LangChain + MiniLM + FAISS.

    pip install langchain-text-splitters sentence-transformers faiss-cpu
    python benchmarks/indexing.py FOLDER

Prints one table: the whole way from files to an index that answers (reading, cutting, embedding,
storing), for both on the same files, and the time of a hybrid query. Loading the weights is left
out of both. The peer is written as its tutorials write it: RecursiveCharacterTextSplitter with
1,000 characters and 200 of overlap, SentenceTransformer.encode, IndexFlatIP; it keeps its index in
memory and has no full text, pages or headings. Each runs in a process of its own. On a machine that
others use too, compare CPU seconds: wall time is theirs as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PASSES = 3  # of the questions; every pass is shown


def ours(folder: Path) -> dict[str, Any]:
    """Our index of the folder, on disk, and 200 hybrid queries."""
    from mlfolio.core.source import Source
    from mlfolio.parts.retrieval.search import best_hits, find
    from mlfolio.parts.retrieval.stores.lance import LanceIndex
    from mlfolio.parts.retrieval.sync import Document, list_files, sync
    from mlfolio.parts.text.embed import get_encoder
    from mlfolio.systems.documents.data import load_corpus

    encoder = get_encoder()
    encoder.encode_query("warm")
    with tempfile.TemporaryDirectory() as place:
        index = LanceIndex(Path(place), encoder.dimension)

        def build() -> int:
            known, _ = list_files(folder)
            documents = [Document.of_file(path, name) for name, path in known.items()]
            sync(index, documents, encoder)
            return len(documents)

        files, wall, cpu = timed(build)
        asked = [question.text for question in load_corpus(Source.own(folder)).test]
        passes = []
        for _ in range(PASSES):
            times = []
            for question in asked:
                started = time.perf_counter()
                best_hits(index, find(index, encoder, question), 5)
                times.append((time.perf_counter() - started) * 1000)
            passes.append(np.percentile(times, [50, 99]).tolist())
        return {"files": files, "chunks": len(index), "wall": wall, "cpu": cpu, "passes": passes}


def peer(folder: Path) -> dict[str, Any]:
    """LangChain's splitter, sentence-transformers and FAISS, as a user writes it."""
    import faiss
    import pypdfium2
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from sentence_transformers import SentenceTransformer

    from mlfolio.parts.retrieval.sync import list_files
    from mlfolio.parts.text.embed import BUNDLED, _folder

    model = SentenceTransformer(str(_folder(BUNDLED)), device="cpu")
    model.encode(["warm"])
    sizes = {}

    def read(path: Path) -> str:
        if path.suffix == ".pdf":
            return "\n".join(p.get_textpage().get_text_range() for p in pypdfium2.PdfDocument(path))
        if path.suffix == ".docx":
            from docx import Document

            return "\n".join(paragraph.text for paragraph in Document(str(path)).paragraphs)
        return path.read_text("utf-8", errors="replace")

    def build() -> int:
        known, _ = list_files(folder)
        splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
        chunks = [chunk for path in known.values() for chunk in splitter.split_text(read(path))]
        index = faiss.IndexFlatIP(384)
        index.add(model.encode(chunks, normalize_embeddings=True, show_progress_bar=False))
        sizes["chunks"] = index.ntotal
        return len(known)

    files, wall, cpu = timed(build)
    return {"files": files, "chunks": sizes["chunks"], "wall": wall, "cpu": cpu}


def timed(work: Callable[[], int]) -> tuple[int, float, float]:
    """What the work returns, its wall seconds and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Runs both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=["ours", "peer"], help="run one, print JSON")
    arguments = parser.parse_args()
    if arguments.only:
        run = ours if arguments.only == "ours" else peer
        print(json.dumps(run(arguments.folder)))
        return
    found = {}
    for name in ("ours", "peer"):
        command = [sys.executable, __file__, str(arguments.folder), "--only", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{'':10}{'files':>7}{'chunks':>8}{'wall s':>9}{'CPU s':>9}{'files/s':>9}{'chunks/s':>10}"
    )
    for name, row in found.items():
        print(
            f"{name:10}{row['files']:7,.0f}{row['chunks']:8,.0f}{row['wall']:9.1f}{row['cpu']:9.1f}"
            f"{row['files'] / row['wall']:9.2f}{row['chunks'] / row['wall']:10.1f}"
        )
    ratios = [found["peer"][key] / found["ours"][key] for key in ("wall", "cpu")]
    print(f"the peer takes {ratios[0]:.2f} times the wall time and {ratios[1]:.2f} times the CPU")
    for number, (p50, p99) in enumerate(found["ours"]["passes"], start=1):
        print(f"hybrid query, pass {number}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    main()
