"""The data doctor: what is wrong with the data, said before any fit.

Each check takes plain frames or arrays and returns findings; systems put together the checks that
fit their data. A finding of level `leak` stops the run unless it is forced.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.system import Finding
from mlfolio.data.fingerprint import row_hashes

MANY_COPIES = 0.01  # share of test rows that are training rows, beyond which scores mean nothing
TELLS = 0.999  # balanced accuracy beyond which a column alone gives the answer away
TELLS_ORDER = 0.99  # rank correlation beyond which a column alone gives a number away, and
ALIKE = 0.99999  # beyond which it is that number
FEW_DIFFERENT = 20  # values of a number, fewer than which are in the same order by chance
MOSTLY_MISSING = 0.5
SAME = 0.95  # rank correlation beyond which two columns say the same
RARE_CLASS = 0.1


def check_table(
    train: pd.DataFrame, test: pd.DataFrame | None, target: str, features: Sequence[str]
) -> list[Finding]:
    """All checks for a table with a class to predict, or a number: classes are no floats.

    Args:
        train: Training rows, the target among the columns.
        test: Test rows with the same columns; None where there is no fixed test part.
        target: Name of the column to predict.
        features: Names of the columns that the model will use.
    """
    findings = [*find_copies(train[list(features)], what="training rows")]
    if test is not None and len(test):
        findings += find_shared(train[list(features)], test[list(features)])
        findings += find_new_columns(train, test)
    classes = not pd.api.types.is_float_dtype(train[target])
    find = find_leaks if classes else find_leaks_of_number
    findings += find(train[list(features)], train[target])
    findings += find_empty_columns(train[list(features)])
    if classes:
        findings += find_imbalance(train[target])
    return findings


def find_copies(rows: pd.DataFrame, what: str) -> list[Finding]:
    """Identical rows inside one part."""
    count = int(rows.duplicated().sum())
    if not count:
        return []
    return [
        Finding(
            level="note",
            check="copies",
            message=f"{count:,} of {len(rows):,} {what} are copies of another one",
            fix="splits keep copies on one side; drop them if they are mistakes",
        )
    ]


def find_shared(train: pd.DataFrame, test: pd.DataFrame) -> list[Finding]:
    """Test rows that the training part has too: the model has seen their answers."""
    shared = np.isin(row_hashes(test), row_hashes(train))
    return shared_finding(int(shared.sum()), len(test))


def shared_finding(shared: int, n_test: int) -> list[Finding]:
    """The finding for `shared` of `n_test` test items that also occur in the training part."""
    if not shared:
        return []
    return [
        Finding(
            level="leak" if shared / n_test > MANY_COPIES else "warning",
            check="shared items",
            message=f"{shared:,} of {n_test:,} test items are also in the training part",
            fix="remove them from one of the two, or split anew",
        )
    ]


def find_leaks(features: pd.DataFrame, target: pd.Series) -> list[Finding]:
    """Columns that give the answer away alone.

    One that stands for the target value by value is a copy of it: a leak. One that merely tells
    the classes apart may be a very good measurement or known only afterwards: a warning.
    """
    if target.nunique() < 2 or len(target) < 20:
        return []
    findings = []
    for column in features:
        if _is_renaming(features[column], target):
            findings.append(_renaming(str(column), target))
        elif (skill := _alone(features[column], target)) > TELLS:
            findings.append(
                Finding(
                    level="warning",
                    check="target leak",
                    message=f"column {column!r} alone predicts {target.name!r} "
                    f"(balanced accuracy {skill:.3f})",
                    fix=f"if it is known only after the answer, leave it out: drop={column}",
                )
            )
    return findings


def find_leaks_of_number(features: pd.DataFrame, target: pd.Series) -> list[Finding]:
    """Columns that give a number away alone.

    One in the same order as the target, or the reverse, is the target in another unit: a leak.
    """
    if target.nunique() < FEW_DIFFERENT:
        return []
    findings = []
    for column in features.select_dtypes("number"):
        both = pd.DataFrame({"column": features[column], "target": target}).dropna()
        if len(both) < len(target) / 2 or both["column"].nunique() < FEW_DIFFERENT:
            continue
        order = abs(both["column"].corr(both["target"], method="spearman"))
        if order > ALIKE:
            findings.append(_renaming(str(column), target))
        elif order > TELLS_ORDER:
            findings.append(
                Finding(
                    level="warning",
                    check="target leak",
                    message=f"column {column!r} alone orders {target.name!r} "
                    f"(rank correlation {order:.3f})",
                    fix=f"if it is known only after the answer, leave it out: drop={column}",
                )
            )
    return findings


def _renaming(column: str, target: pd.Series) -> Finding:
    return Finding(
        level="leak",
        check="target leak",
        message=f"column {column!r} is {target.name!r} under other names",
        fix=f"leave it out: drop={column}",
    )


def _is_renaming(column: pd.Series, target: pd.Series) -> bool:
    """Whether each value of one goes with one value of the other, a missing one included."""
    pairs = pd.DataFrame({"column": column.to_numpy(), "target": target.to_numpy()})
    counts = pairs.nunique(dropna=False)
    return bool((counts == len(pairs.drop_duplicates())).all())


def _alone(column: pd.Series, target: pd.Series) -> float:
    """Balanced accuracy of a shallow tree on one column, cross-validated where it matters.

    A column with a different value in nearly every row can only be remembered, not learned from,
    so text counts by its values only where they repeat.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.tree import DecisionTreeClassifier

    answers = target.astype(str).to_numpy(dtype=object)
    smallest = int(target.value_counts().min())
    if smallest < 2:
        return 0.0
    leaves = None
    if pd.api.types.is_numeric_dtype(column):
        values = column.astype(float).to_numpy()
        leaves = 2 * target.nunique()
    elif column.nunique() > len(column) / 2:
        return 0.0
    else:
        values = pd.factorize(column)[0].astype(float)
    rows = values.reshape(-1, 1)
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0)
    fitted = float(balanced_accuracy_score(answers, tree.fit(rows, answers).predict(rows)))
    if fitted <= TELLS:  # it will not tell other rows better, and folds for each column are slow
        return fitted
    folds = StratifiedKFold(min(3, smallest), shuffle=True, random_state=0)
    scores = cross_val_score(tree, rows, answers, cv=folds, scoring="balanced_accuracy")
    return float(scores.mean())


def find_empty_columns(features: pd.DataFrame) -> list[Finding]:
    """Columns that say nothing, or are mostly missing."""
    findings = []
    for column in features:
        values = features[column]
        missing = float(values.isna().mean())
        if values.nunique(dropna=False) < 2:
            message, fix = f"column {column!r} has one value only", "it can be dropped"
        elif missing > MOSTLY_MISSING:
            message = f"column {column!r} is missing in {missing:.0%} of the rows"
            fix = "whether it is known may itself be the information"
        else:
            continue
        findings.append(Finding(level="note", check="empty column", message=message, fix=fix))
    return findings


def find_pairs(features: pd.DataFrame, fix: str) -> list[Finding]:
    """Columns of numbers that say the same, which counts twice in every distance.

    Args:
        features: Columns of numbers.
        fix: How to choose among them.
    """
    matrix = features.corr(method="spearman").abs().to_numpy()
    names = list(features)
    return [
        Finding(
            level="warning",
            check="correlated columns",
            message=f"{names[a]!r} and {names[b]!r} say the same (rank correlation above {SAME}) "
            "and count twice",
            fix=fix,
        )
        for a, b in np.argwhere(np.triu(matrix, 1) > SAME)[:5]
    ]


def find_imbalance(target: pd.Series | NDArray[np.int64]) -> list[Finding]:
    """Classes too rare for accuracy to mean much."""
    shares = pd.Series(target).value_counts(normalize=True)
    fair = 1 / max(len(shares), 1)
    rare = shares[shares < RARE_CLASS * min(1.0, 2 * fair)]
    if rare.empty:
        return []
    named = ", ".join(f"{name!r} {share:.1%}" for name, share in list(rare.items())[:5])
    return [
        Finding(
            level="warning",
            check="imbalance",
            message=f"rare classes: {named}",
            fix="read balanced accuracy and the confusion matrix beside accuracy",
        )
    ]


def find_new_columns(train: pd.DataFrame, test: pd.DataFrame) -> list[Finding]:
    """Columns whose type differs between training and test part, or that one of them lacks."""
    findings = []
    for column in sorted(set(train) ^ set(test), key=str):
        side = "training" if column in train else "test"
        findings.append(_schema_finding(f"column {column!r} is in the {side} part only"))
    for column in set(train) & set(test):
        kinds = [pd.api.types.is_numeric_dtype(part[column]) for part in (train, test)]
        if kinds[0] != kinds[1] and not test[column].isna().all():
            findings.append(
                _schema_finding(
                    f"column {column!r} holds numbers in one part and text in the other"
                )
            )
    return findings


def _schema_finding(message: str) -> Finding:
    return Finding(level="warning", check="schema", message=message, fix="make both parts alike")
