"""The database itself refuses a message status that falls (`MessageStatus` are ranks)."""

from __future__ import annotations

from typing import Any

from django.db import migrations

POSTGRES = """
CREATE FUNCTION message_status_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'message_status_rises: a status may only rise' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER message_status_rises BEFORE UPDATE OF status ON gateway_message
    FOR EACH ROW WHEN (NEW.status < OLD.status) EXECUTE FUNCTION message_status_rises();
"""
POSTGRES_BACK = """
DROP TRIGGER message_status_rises ON gateway_message;
DROP FUNCTION message_status_rises();
"""
# SQLite rebuilds a table to alter it and forgets its triggers: a later migration of this table must make it again.
SQLITE = """
CREATE TRIGGER message_status_rises BEFORE UPDATE OF status ON gateway_message
    WHEN NEW.status < OLD.status BEGIN SELECT RAISE(ABORT, 'message_status_rises'); END;
"""
SQLITE_BACK = "DROP TRIGGER message_status_rises;"


def make(apps: Any, editor: Any) -> None:
    editor.execute(POSTGRES if editor.connection.vendor == "postgresql" else SQLITE)


def unmake(apps: Any, editor: Any) -> None:
    editor.execute(POSTGRES_BACK if editor.connection.vendor == "postgresql" else SQLITE_BACK)


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_initial")]
    operations = [migrations.RunPython(make, unmake)]
