"""All kinds of issues that can be looked for."""

from __future__ import annotations

from dataide.find.families import Family
from dataide.find.issues_of_boxes import Boxes
from dataide.find.issues_of_duplicates import Duplicates
from dataide.find.issues_of_labels import Classes, Labels
from dataide.find.issues_of_outliers import Outliers
from dataide.find.issues_of_pictures import Pictures

FAMILIES: tuple[Family, ...] = (Labels(), Classes(), Boxes(), Duplicates(), Outliers(), Pictures())
KINDS = tuple(kind for family in FAMILIES for kind in family.kinds)
QUALITY_KINDS = Pictures.kinds
