"""Keeps messages of the browser on the thread that the browser asked for, so that they are heard while a cell runs."""

from __future__ import annotations


def heard_while_busy(comm: object) -> None:
    """Lets the messages to a comm reach the subshell that they name.

    JupyterLab sends what widgets say to a subshell of the kernel. ipykernel 7.4 sends it on to wherever the comm last
    spoke from: for a comm that was opened in a cell that is the main thread, which hears nothing before the cells that
    are still running or waiting have ended. Without this function of its own the comm leaves the address as it is.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None
