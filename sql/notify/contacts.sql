-- Who is told of troubles, and what messages to them go through.

--
-- Relays: what messages go through
--

CREATE FUNCTION pgmaint_internal.relay_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_relay_validator';
COMMENT ON FUNCTION pgmaint_internal.relay_validator IS
	'refuses what a relay, or a user mapping for one, cannot be';

CREATE FOREIGN DATA WRAPPER pgmaint_relay VALIDATOR pgmaint_internal.relay_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_relay IS
	'its servers are what messages to contacts go through: an SMTP server, or the keys for a webhook';

--
-- Contacts: who is told
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

COMMENT ON TABLE pgmaint.contacts IS 'who is told of troubles, and when: made by pgmaint.add_contact()';
COMMENT ON COLUMN pgmaint.contacts.name IS 'name of the contact, for drop_contact()';
COMMENT ON COLUMN pgmaint.contacts.level IS '1 is told first; a trouble that was told to a higher level is escalated';
COMMENT ON COLUMN pgmaint.contacts.address IS 'https://..., mailto:..., or notify:channel';
COMMENT ON COLUMN pgmaint.contacts.server IS 'the relay, a foreign server: what mail goes through, or the keys for a webhook; null: none is needed';
COMMENT ON COLUMN pgmaint.contacts.severity IS 'troubles of this severity, and worse ones, are told';
COMMENT ON COLUMN pgmaint.contacts.after IS 'how long a trouble has that severity, neither resolved nor acknowledged, before this contact is told';
COMMENT ON COLUMN pgmaint.contacts.repeats IS 'a trouble that was noticed so often is told at once; null: never for that reason';
COMMENT ON COLUMN pgmaint.contacts.windows IS 'whether the contact is told what will run, before a maintenance window opens';
COMMENT ON COLUMN pgmaint.contacts.notice IS 'how long before a maintenance window opens that message is sent';
COMMENT ON COLUMN pgmaint.contacts.added_by IS 'the role that added the contact, whose user mapping has the password or the keys';
COMMENT ON COLUMN pgmaint.contacts.added_at IS 'when the contact was added';
COMMENT ON COLUMN pgmaint.contacts.identity IS 'of the database that the contact was added to: a copy, or a restored dump, tells it once that it is suspended, and nothing more until take_over()';

-- contacts belong to the database, and are dumped and restored with it
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
	'have somebody told of troubles: level 1 at once of warnings, too, higher levels of what is critical and goes on, unless told otherwise';

CREATE FUNCTION pgmaint.drop_contact(name text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_contact';

COMMENT ON FUNCTION pgmaint.drop_contact(text) IS 'tell a contact nothing more';

REVOKE ALL ON pgmaint.contacts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.relay_validator(text[], oid),
	pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval),
	pgmaint.drop_contact(text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.contacts TO pg_monitor;
