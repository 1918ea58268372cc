"""How a verb ends."""

import click
from click.testing import CliRunner

from app.commands.output import verb
from app.job_run import Stopped


def test_stopped_job__ends_without_a_word_and_ctrl_c_with_clicks_own() -> None:
    for error, said in ((Stopped, ""), (KeyboardInterrupt, "\nAborted!\n")):

        @click.command()
        @verb
        def fit(error: type[BaseException] = error) -> None:
            raise error

        ended = CliRunner().invoke(fit)

        assert (ended.exit_code, ended.output) == (1, said)
