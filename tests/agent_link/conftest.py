from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.agent_link.notes import Holder, holder, open_lane
from tests.agent_link.tunnels import Shop, Studio, running
from tests.make import make_agent
from workspaces.models import Workspace


@pytest.fixture(autouse=True)
def _notes(settings: Any) -> None:
    settings.AGENT_LINK_ROUTES = {**settings.AGENT_LINK_ROUTES, "note": "tests.agent_link.notes.accept"}


@pytest.fixture
def ann(db: None) -> Holder:
    return holder()


@pytest.fixture
def ben(ann: Holder) -> Holder:
    """A second agent of the same workspace."""
    return Holder(make_agent(Workspace.objects.get(pk=ann.workspace), "ben"))


@pytest.fixture
def stranger(db: None) -> Holder:
    """An agent of another workspace."""
    return holder()


@pytest.fixture
def lane(ann: Holder) -> str:
    """Three envelopes."""
    return open_lane(ann.workspace, 3)


@pytest.fixture
def shop(transactional_db: None, settings: Any) -> Shop:
    settings.REDIS_URL = ""
    return Shop()


@pytest.fixture
async def studio(shop: Shop) -> AsyncIterator[Studio]:
    async with running(shop) as studio:
        yield studio
