-- A storage, a table with partitions by month, and archives from number 17 on.
CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage
    OPTIONS (url 's3://my-bucket/postgres', region 'eu-central-1');
CREATE TABLE app.measurements (
	sensor_id int NOT NULL,
	taken_at timestamptz NOT NULL,
	value double precision
) PARTITION BY RANGE (taken_at);
DO $$
DECLARE
	month timestamptz;
BEGIN
	FOR months IN 0 .. 15 LOOP
		month := date_trunc('month', now()) - months * interval '1 month';
		EXECUTE format('CREATE TABLE app.%I PARTITION OF app.measurements FOR VALUES FROM (%L) TO (%L)',
			'measurements_' || months, month, month + interval '1 month');
		INSERT INTO app.measurements SELECT g, month + g * interval '1 hour', random() FROM generate_series(0, 99) g;
	END LOOP;
END
$$;
SELECT setval(pg_get_serial_sequence('pgmaint.archives', 'archive_id'), 17, false);
