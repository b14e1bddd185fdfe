"""The course: exercises that are checked, hints, predictions, milestones and progress.

A lesson's ``checks.py`` declares them (see `tensorlab.learn.declare`). Nothing here knows of
Jupyter: the notebook's magics and the command line are both built on these functions.
"""

from __future__ import annotations

from tensorlab.learn.attempts import CourseError
from tensorlab.learn.course import (
    Course,
    UnknownExercise,
    UnknownLesson,
    course_dir,
    find_course,
)
from tensorlab.learn.declare import (
    Alternative,
    Answer,
    Case,
    Exercise,
    Failure,
    Mutant,
    Raises,
    alternative,
    mutant,
)
from tensorlab.learn.engine import CheckInterrupted, check
from tensorlab.learn.gradient import numeric_grad
from tensorlab.learn.hints import Hint, hint
from tensorlab.learn.judging import compare
from tensorlab.learn.lesson import Lesson, Milestone, MilestoneResult, Prediction
from tensorlab.learn.predictions import Locked, Revealed, describe, lock, reveal
from tensorlab.learn.progress import (
    ItemProgress,
    LessonProgress,
    NextStep,
    Progress,
    ProgressError,
    data_home,
)
from tensorlab.learn.proofs import Proof, prove
from tensorlab.learn.regions import solution, stub
from tensorlab.learn.results import CheckResult, Outcome
from tensorlab.learn.values import as_array

__all__ = [
    # what a checks.py declares
    "Alternative",
    "Answer",
    "Case",
    "Exercise",
    "Failure",
    "Lesson",
    "Milestone",
    "MilestoneResult",
    "Mutant",
    "Prediction",
    "Raises",
    "alternative",
    "mutant",
    # what helps to write it
    "as_array",
    "compare",
    "numeric_grad",
    # the course
    "Course",
    "CourseError",
    "UnknownExercise",
    "UnknownLesson",
    "course_dir",
    "find_course",
    # checking
    "CheckInterrupted",
    "CheckResult",
    "Outcome",
    "Proof",
    "check",
    "prove",
    # help, predictions, progress
    "Hint",
    "ItemProgress",
    "LessonProgress",
    "Locked",
    "NextStep",
    "Progress",
    "ProgressError",
    "Revealed",
    "data_home",
    "describe",
    "hint",
    "lock",
    "reveal",
    "solution",
    "stub",
]
