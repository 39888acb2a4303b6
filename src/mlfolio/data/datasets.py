"""The record of each official data set: its home, licence and files, and how it gets here.

A data set lies in `$MLFOLIO_DATA/<name>/` (default `data/<name>/` in the working folder), where it
was downloaded, or placed by hand where its publisher asks for a login.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from mlfolio.core.errors import DataUnavailableError, FileError, UnknownNameError


class DataFile(BaseModel):
    """One file of a data set. It is the published one if either hash is right.

    Attributes:
        name: File name inside the data set's folder, which may have folders.
        url: Where it can be downloaded; None where it has to be placed by hand.
        download_hash: `md5:...` or `sha256:...` of the file as downloaded.
        sha256: Hash of the content, unpacked if the name ends in `.gz`.
        optional: Whether the data set is usable without it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    url: str | None = None
    download_hash: str | None = None
    sha256: str | None = None
    optional: bool = False


class Dataset(BaseModel):
    """The record of an official data set.

    Attributes:
        name: Its folder's name.
        title: Its full name.
        home: Where it is published.
        licence: As its publisher states it.
        citation: Whom to cite.
        bundled: The library that carries it, if one does; then there are no files.
        files: Its files.
        instead: Other files that hold the same; they are placed by hand.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    home: str
    licence: str
    citation: str
    bundled: str | None = None
    files: tuple[DataFile, ...] = ()
    instead: tuple[DataFile, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its files lie, or would lie."""
        return data_folder() / self.name

    @property
    def missing(self) -> list[DataFile]:
        """The needed files that are not there."""
        if self.instead and all((self.folder / f.name).is_file() for f in self.instead):
            return []
        return [f for f in self.files if not f.optional and not (self.folder / f.name).is_file()]


_CLINC = "https://raw.githubusercontent.com/clinc/oos-eval/828f8093932c8fe6ca7936c3d2e52903b1c523de"
_BANKING = (
    "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/"
    "57ec275d8078af65b7731c2a98be812d844a6d6b/banking_data"
)
_TELCO = (
    "https://raw.githubusercontent.com/IBM/telco-customer-churn-on-icp4d/"
    "d5371f5d83a446ad5673cbcca3b814b926491f8a"
)
_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"

DATASETS: dict[str, Dataset] = {
    record.name: record
    for record in (
        Dataset(
            name="iris",
            title="Iris plants",
            home="https://archive.ics.uci.edu/dataset/53/iris",
            licence="CC BY 4.0",
            citation="Fisher (1936), The use of multiple measurements in taxonomic problems",
            bundled="scikit-learn",
        ),
        Dataset(
            name="house-prices",
            title="House prices of Ames, Iowa",
            home="https://www.kaggle.com/c/house-prices-advanced-regression-techniques",
            licence="Kaggle competition rules",
            citation="De Cock (2011), Ames, Iowa: alternative to the Boston housing data",
            files=(
                DataFile(
                    name="train.csv",
                    sha256="1e18addf81e5e4d347cc17ee6075bbe4a42b7fa26b9e5b063e8f692a5f929d41",
                ),
                DataFile(
                    name="test.csv",
                    sha256="8fdd3d829d4d986b58f845c9553b225e67dd8383624d90fb6ca1d4bed5798c1e",
                    optional=True,
                ),
            ),
        ),
        Dataset(
            name="titanic",
            title="Titanic: machine learning from disaster",
            home="https://www.kaggle.com/c/titanic",
            licence="Kaggle competition rules",
            citation="Kaggle (2012), Titanic: machine learning from disaster",
            files=(
                DataFile(
                    name="train.csv",
                    sha256="7d118fef8b6ccf7f81111877bc388536f7b1e498a655e3d649d19aaa010e9f6f",
                ),
                DataFile(
                    name="test.csv",
                    sha256="56023b9948236f3c7a1c9448fcf418b283e109ef177fa8c7e069158dd7dd52b2",
                    optional=True,
                ),
            ),
        ),
        Dataset(
            name="telco-churn",
            title="Telco customer churn (IBM sample data)",
            home="https://github.com/IBM/telco-customer-churn-on-icp4d",
            licence="repository Apache-2.0; of the data not stated",
            citation="IBM (2018), Telco customer churn, sample data; on Kaggle as "
            "blastchar/telco-customer-churn",
            files=(
                DataFile(
                    name="Telco-Customer-Churn.csv",
                    url=f"{_TELCO}/data/Telco-Customer-Churn.csv",
                    download_hash="sha256:"
                    "16320c9c1ec72448db59aa0a26a0b95401046bef5d02fd3aeb906448e3055e91",
                ),
            ),
            instead=(  # under Kaggle's name, and with 20.0 for a charge of 20
                DataFile(
                    name="WA_Fn-UseC_-Telco-Customer-Churn.csv",
                    download_hash="sha256:"
                    "88be4b93fbe0cc83421af1c503794c97c342eca914c1576db7c276e61d61358a",
                    sha256="a0ea74c48c1063be89a73ce3fb868593604c0129f2bf581934f04983d728b3b5",
                ),
            ),
        ),
        Dataset(
            name="mall-customers",
            title="Mall customer segmentation data",
            home="https://www.kaggle.com/datasets/vjchoudhary7/customer-segmentation-tutorial-in-python",
            licence="not stated",
            citation="Choudhary (2018), Mall customer segmentation data, Kaggle",
            files=(
                DataFile(
                    name="Mall_Customers.csv",
                    # With the columns and line ends of Kaggle's file, from a copy of it.
                    sha256="416a4f62a8f33841a16e1db5297f0e05d3b65b05e73632cedae58e739e1e1f77",
                ),
            ),
        ),
        Dataset(
            name="sms-spam",
            title="SMS Spam Collection",
            home="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
            licence="CC BY 4.0",
            citation="Almeida, Hidalgo and Yamakami (2011), Contributions to the study of SMS spam "
            "filtering",
            files=(
                DataFile(
                    name="SMSSpamCollection",
                    sha256="7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
                ),
            ),
        ),
        Dataset(
            name="movielens-100k",
            title="MovieLens 100K",
            home="https://grouplens.org/datasets/movielens/100k/",
            licence="GroupLens terms: research use, no redistribution, no commercial use",
            citation="Harper and Konstan (2015), The MovieLens datasets: history and context",
            files=(
                DataFile(
                    name="ml-100k.zip",
                    url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
                    download_hash="md5:0e33842e24a9c977be4e0107933c0723",
                    # The published files packed anew, without two scripts.
                    sha256="b40c5f65dda3516d1fa29aef2bb458318a377e84d991768f9a05971d4ca1c0ac",
                ),
            ),
        ),
        Dataset(
            name="intents",
            title="CLINC150 and Banking77",
            home="https://github.com/clinc/oos-eval, "
            "https://github.com/PolyAI-LDN/task-specific-datasets",
            licence="CLINC150 CC BY 3.0, Banking77 CC BY 4.0",
            citation="Larson et al. (2019), An evaluation dataset for intent classification and "
            "out-of-scope prediction; Casanueva et al. (2020), Efficient intent detection with "
            "dual sentence encoders",
            files=(
                DataFile(
                    name="clinc150/data_full.json",
                    url=f"{_CLINC}/data/data_full.json",
                    sha256="36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
                ),
                DataFile(
                    name="banking77/train.csv",
                    url=f"{_BANKING}/train.csv",
                    sha256="b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
                ),
                DataFile(
                    name="banking77/test.csv",
                    url=f"{_BANKING}/test.csv",
                    sha256="d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
                ),
            ),
        ),
        Dataset(
            name="imdb",
            title="Large Movie Review Dataset (IMDB)",
            home="https://ai.stanford.edu/~amaas/data/sentiment/",
            licence="not stated",
            citation="Maas et al. (2011), Learning word vectors for sentiment analysis",
            files=(
                DataFile(
                    name="aclImdb_v1.tar.gz",
                    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                    download_hash="md5:7c2ac02c03563afcf9b574c7e56c153a",
                ),
            ),
            instead=(  # in the form of Kaggle's table, with an index of the halves
                DataFile(
                    name="IMDB Dataset.csv.zip",
                    sha256="12f0f0911d4435babdafee9afd988dd1e764545c07727b16f4370b1f54b63a6f",
                ),
                DataFile(
                    name="index.csv.zip",
                    sha256="727c18b2c394c867924577077f071e096c3471df4201a47c0a6440fdf38306b6",
                ),
            ),
        ),
        Dataset(
            name="cats-vs-dogs",
            title="Dogs vs. Cats",
            home="https://www.kaggle.com/c/dogs-vs-cats",
            licence="Kaggle competition rules",
            citation="Elson et al. (2007), Asirra: a CAPTCHA that exploits interest-aligned manual "
            "image categorization",
            files=(DataFile(name="train.zip"),),
            instead=(  # a part of it: 3,000 pictures to learn from and 1,000 to test, made smaller
                DataFile(
                    name="train.parquet",
                    sha256="0543ca716987070b8a9892a5d5214964091d3c8e3609db1ca4dcfed4773586e7",
                ),
                DataFile(
                    name="test.parquet",
                    sha256="1650cc20d4f06ab487836282a27e422e71753a5c0151bfff02da81a32c9e9cbf",
                ),
            ),
        ),
        Dataset(
            name="cifar-10",
            title="CIFAR-10",
            home="https://www.cs.toronto.edu/~kriz/cifar.html",
            licence="not stated",
            citation="Krizhevsky (2009), Learning multiple layers of features from tiny images",
            files=(
                DataFile(
                    name="cifar-10-binary.tar.gz",
                    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    download_hash="md5:c32a1d4ab5d03f1284b67883e8d87530",
                ),
            ),
            instead=(  # a copy whose pictures were compressed as JPEGs
                DataFile(
                    name="train.parquet",
                    sha256="d0b7296d61b45e1d2d1267653558d404aaf352dcc59972dc2c10548a732895d9",
                ),
                DataFile(
                    name="test.parquet",
                    sha256="c07b2bf5e7ab5624612ef7e9b6d0842fb2b9e03502dc070ec328847a0af8d6dc",
                ),
            ),
        ),
        Dataset(
            name="face-mask",
            title="Face-Mask-Detection faces, and scenes of Kaggle's Face Mask Detection",
            home="https://github.com/chandrikadeb7/Face-Mask-Detection, "
            "https://www.kaggle.com/datasets/andrewmvd/face-mask-detection",
            licence="faces: repository MIT, their sources not cleared; scenes: CC0",
            citation="Deb (2020), Face Mask Detection; Larxel (2020), Face Mask Detection, Kaggle",
            files=(  # faces made smaller, near-duplicates known; scenes/ lies beside them
                DataFile(
                    name="faces_train.parquet",
                    sha256="b048ef73c536dc32ea36bb0a7e6a0e33e9eb4932c1c5e4d00c3d79834772d19d",
                ),
                DataFile(
                    name="faces_test.parquet",
                    sha256="728fd3feda18197d101c23f32f826e11158943069888e05a8d63a8d9f157a199",
                ),
            ),
        ),
        Dataset(
            name="stocks",
            title="Daily prices of seven American stocks and the S&P 500 (Yahoo Finance)",
            home="https://finance.yahoo.com",
            licence="Yahoo's terms: personal use",
            citation="Yahoo Finance, historical prices; measured on 2000-01-03 to 2020-05-22",
            # Without hashes: Yahoo's files grow every day, and run's fingerprints tell them apart.
            files=tuple(
                DataFile(name=f"{ticker}.csv")
                for ticker in ("AAPL", "IBM", "INTC", "JNJ", "JPM", "KO", "MSFT", "^GSPC")
            ),
        ),
        Dataset(
            name="mnist",
            title="MNIST handwritten digits",
            home="http://yann.lecun.com/exdb/mnist/",
            licence="not stated (commonly given as CC BY-SA 3.0)",
            citation="LeCun et al. (1998), Gradient-based learning applied to document recognition",
            files=(
                DataFile(
                    name="train-images-idx3-ubyte.gz",
                    url=f"{_MNIST}/train-images-idx3-ubyte.gz",
                    download_hash="md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                ),
                DataFile(
                    name="train-labels-idx1-ubyte.gz",
                    url=f"{_MNIST}/train-labels-idx1-ubyte.gz",
                    download_hash="md5:d53e105ee54ea40749a09fcbcd1e9432",
                    sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                ),
                DataFile(
                    name="t10k-images-idx3-ubyte.gz",
                    url=f"{_MNIST}/t10k-images-idx3-ubyte.gz",
                    download_hash="md5:9fb629c4189551a2d022fa330f9573f3",
                    sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                ),
                DataFile(
                    name="t10k-labels-idx1-ubyte.gz",
                    url=f"{_MNIST}/t10k-labels-idx1-ubyte.gz",
                    download_hash="md5:ec29112dd5afa0611ce80d1b7f02629c",
                    sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
            ),
        ),
        Dataset(
            name="scifact",
            title="SciFact, in the BEIR retrieval form",
            home="https://github.com/allenai/scifact",
            licence="claims CC BY 4.0, abstracts ODC-By 1.0",
            citation="Wadden et al. (2020), Fact or fiction; Thakur et al. (2021), BEIR",
            files=(
                DataFile(
                    name="scifact.zip",
                    url="https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/scifact.zip",
                    download_hash="md5:5f7d1de60b170fc8027bb7898e2efca1",
                    # Made anew from the authors' claims and abstracts, in the same form.
                    sha256="26be022748f156807a7f79dbffbb98eca5a93d1796a871849ad65457c27f34d9",
                ),
            ),
        ),
        Dataset(
            name="cranfield",
            title="Cranfield 1400",
            home="http://ir.dcs.gla.ac.uk/resources/test_collections/cran/",
            licence="not stated",
            citation="Cleverdon (1967), The Cranfield tests on index language devices",
            files=(
                DataFile(
                    name="cran.all.1400",
                    sha256="1ff6a3982db4ae6318262fd6b4ccaadaf79521e2a877204c350cf04ec9f1a6ad",
                ),
                DataFile(
                    name="cran.qry",
                    sha256="7071f9ccf6af1361f87b7c4d39e5fd647f22e1c43eca1e9f7eb862e000708c96",
                ),
                DataFile(
                    name="cranqrel",
                    sha256="e555db745e3f2af96d643d8a7c52c6c8e1ccc644c5a749c671e0c6a086af3c3f",
                ),
            ),
        ),
        Dataset(
            name="squad",
            title="SQuAD 1.1 and 2.0, development sets",
            home="https://rajpurkar.github.io/SQuAD-explorer/",
            licence="CC BY-SA 4.0",
            citation="Rajpurkar et al. (2016), SQuAD; Rajpurkar, Jia and Liang (2018), Know what "
            "you don't know",
            files=(
                DataFile(
                    name="dev-v1.1.json",
                    url=f"{_SQUAD}/dev-v1.1.json",
                    download_hash="sha256:"
                    "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
                    # Made anew from the publisher's pages, with the same texts and answers.
                    sha256="10576fa83623b953c4aa20f77b4cbbdcebed2d13361d84f227fd7a82f40f15d6",
                ),
                DataFile(
                    name="dev-v2.0.json",
                    url=f"{_SQUAD}/dev-v2.0.json",
                    download_hash="sha256:"
                    "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
                    sha256="3d2a595c4906f76d719b84886e827773609ce342921d210cda540b98f0190355",
                ),
            ),
        ),
    )
}


def data_folder() -> Path:
    """Where official data lie: `$MLFOLIO_DATA`, or `data/` in the working folder."""
    return Path(os.environ.get("MLFOLIO_DATA", "data")).expanduser().resolve()


def get_dataset(name: str) -> Dataset:
    """The record called `name`.

    Raises:
        UnknownNameError: There is no such data set.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    return DATASETS[name]


def place(name: str, quiet: bool = True) -> Path:
    """The folder of a data set with all its files in it, downloading those that are missing.

    A download is checked against its hash and appears whole or not at all; two processes that
    want the same file wait for each other.

    Raises:
        DataUnavailableError: A file is missing and cannot be downloaded.
        FileError: A file that was placed by hand is not the published one.
    """
    record = get_dataset(name)
    by_hand = [file for file in record.missing if file.url is None]
    if by_hand:
        raise DataUnavailableError(
            f"{record.title} is not on this machine and cannot be fetched without a login",
            f"get {', '.join(file.name for file in by_hand)} from {record.home} and put into "
            f"{record.folder}; or use --data sample",
        )
    if record.missing:
        record.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(record.folder / ".lock"):
            for file in record.missing:
                _download(record, file, quiet)
    is_whole = all((record.folder / file.name).is_file() for file in record.files)
    for file in record.files if is_whole or not record.instead else record.instead:
        _verify(record, file)
    return record.folder


def _download(record: Dataset, file: DataFile, quiet: bool) -> None:
    """Fetches one file; it appears in the folder only once its hash was found right."""
    import logging

    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    downloader = pooch.HTTPDownloader(progressbar=not quiet, timeout=20)
    path = record.folder / file.name
    path.parent.mkdir(exist_ok=True)
    known_hash = file.download_hash or f"sha256:{file.sha256}"
    try:
        pooch.retrieve(
            file.url, known_hash, fname=path.name, path=path.parent, downloader=downloader
        )
    except ValueError as error:  # pooch's word for a hash that does not match
        raise DataUnavailableError(
            f"{file.url} is not the published file: {error}", f"get it from {record.home} by hand"
        ) from None
    except OSError as error:  # requests' errors are OSErrors too
        raise DataUnavailableError(
            f"{file.name} of {record.title} could not be downloaded ({type(error).__name__})",
            f"connect to the network, or put it into {record.folder}; or use --data sample",
        ) from None


def _verify(record: Dataset, file: DataFile) -> None:
    """Compares a file, as it lies and unpacked, with its published hashes."""
    path = record.folder / file.name
    if not path.is_file() or (file.download_hash is None and file.sha256 is None):
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        found = f"unreadable ({error})"
    if found == file.sha256:
        return
    kind, _, wanted = (file.download_hash or "").partition(":")
    if wanted and hashlib.new(kind, path.read_bytes()).hexdigest() == wanted:
        return
    get = "delete it and run again" if file.url else f"get it from {record.home}"
    raise FileError(
        f"{path} is not the published file (sha256 {found[:40]})",
        f"{get}; data of your own are named instead of placed: --data FILE",
    )
