-- Contacts, which are notified of alerts, and the relays that send messages to
-- them.

--
-- Relays
--

CREATE FUNCTION pgmaint_internal.relay_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_relay_validator';
COMMENT ON FUNCTION pgmaint_internal.relay_validator IS
	'Checks the options of a relay, and of a user mapping for one; raises an error for an unknown option or an invalid value.';

CREATE FOREIGN DATA WRAPPER pgmaint_relay VALIDATOR pgmaint_internal.relay_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_relay IS
	'its servers are relays for messages to contacts: an SMTP server, or the keys for webhooks';

--
-- Contacts
--

CREATE TABLE pgmaint.contacts (
	name text PRIMARY KEY,
	level integer NOT NULL CHECK (level > 0),
	address text NOT NULL,
	server name,
	severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
	after interval NOT NULL,
	repeats integer CHECK (repeats > 0),
	windows boolean NOT NULL,
	notice interval NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	identity text DEFAULT pgmaint_internal.current_identity()
);

COMMENT ON TABLE pgmaint.contacts IS 'the contacts that are notified of alerts, and when; add rows with pgmaint.add_contact()';
COMMENT ON COLUMN pgmaint.contacts.name IS 'name of the contact, for pgmaint.drop_contact()';
COMMENT ON COLUMN pgmaint.contacts.level IS 'contacts of level 1 are notified first; an alert of which a higher level was notified is escalated';
COMMENT ON COLUMN pgmaint.contacts.address IS 'https://..., mailto:..., or notify:channel';
COMMENT ON COLUMN pgmaint.contacts.server IS 'the relay, a foreign server, that sends mail or has the keys for a webhook; null: none';
COMMENT ON COLUMN pgmaint.contacts.severity IS 'the contact is notified of alerts of this severity and of higher severity';
COMMENT ON COLUMN pgmaint.contacts.after IS 'how long an alert has that severity, unresolved and unacknowledged, before the contact is notified';
COMMENT ON COLUMN pgmaint.contacts.repeats IS 'number of runs that noticed an alert after which the contact is notified at once; null: never for that reason';
COMMENT ON COLUMN pgmaint.contacts.windows IS 'whether the contact is notified of scheduled plans before a maintenance window opens';
COMMENT ON COLUMN pgmaint.contacts.notice IS 'how long before a maintenance window opens the contact is notified';
COMMENT ON COLUMN pgmaint.contacts.added_by IS 'role that added the contact; its user mapping has the password or the keys';
COMMENT ON COLUMN pgmaint.contacts.added_at IS 'when the contact was added';
COMMENT ON COLUMN pgmaint.contacts.identity IS 'identity of the database that the contact was added to; in a copy of that database, or a restored dump, the contact is suspended until take_over()';

-- contacts are dumped and restored with the database
SELECT pg_catalog.pg_extension_config_dump('pgmaint.contacts', '');

CREATE FUNCTION pgmaint.add_contact(
	name text,
	address text,
	level integer DEFAULT 1,
	severity text DEFAULT NULL,
	after interval DEFAULT NULL,
	repeats integer DEFAULT NULL,
	windows boolean DEFAULT false,
	server name DEFAULT NULL,
	notice interval DEFAULT '1 hour')
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_contact';

COMMENT ON FUNCTION pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval) IS
	'Adds a contact that is notified of alerts. address is https://host/path, mailto:name@host or notify:channel; server is its relay (null: the only one for mail). '
	'level is 1 to 9, severity warning or critical (null: warning for level 1, else critical). The contact is notified when an alert lasts for after (null: 0, 1 hour, 4 hours, ... by level), or at once when repeats runs noticed it (null: never). '
	'With windows, the contact is notified of scheduled plans, notice before a maintenance window opens. '
	'To change a contact, drop and add it in one transaction. Errors: an invalid argument, an existing name, a relay that is missing, ambiguous or without USAGE for the caller.';

CREATE FUNCTION pgmaint.drop_contact(name text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_contact';

COMMENT ON FUNCTION pgmaint.drop_contact(text) IS
	'Drops a contact; its unsent messages are given up, unless a contact of the same name is added in the same transaction. Raises an error for an unknown name, on a standby and in a read-only transaction.';

REVOKE ALL ON pgmaint.contacts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.relay_validator(text[], oid),
	pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval),
	pgmaint.drop_contact(text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.contacts TO pg_monitor;
