"""Workers of an analysis: in this process, and in others."""

import pytest

from hpcda.analysis.parallel import workers


def test_workers_in_this_process_and_others():
    with workers(processes=0) as mapping:
        assert mapping(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
    with workers(processes=1) as mapping:
        assert mapping(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
        with pytest.raises(ZeroDivisionError):
            mapping(divmod, [(7, 0)])
