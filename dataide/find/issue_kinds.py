"""All kinds of issues that can be looked for."""

from __future__ import annotations

from dataide.find.families import Family
from dataide.find.issues_of_boxes import Boxes
from dataide.find.issues_of_crops import CropClasses, CropDuplicates, CropLabels, CropOutliers
from dataide.find.issues_of_duplicates import Duplicates
from dataide.find.issues_of_labels import Classes, Labels
from dataide.find.issues_of_outliers import Outliers
from dataide.find.issues_of_pictures import Pictures

OF_OBJECTS: tuple[Family, ...] = (CropLabels(), CropClasses(), CropDuplicates(), CropOutliers())
FAMILIES: tuple[Family, ...] = (Labels(), Classes(), Boxes(), Duplicates(), Outliers(), Pictures(), *OF_OBJECTS)
KINDS = tuple(kind for family in FAMILIES for kind in family.kinds)
OBJECT_KINDS = tuple(kind for family in OF_OBJECTS for kind in family.kinds)
QUALITY_KINDS = Pictures.kinds
