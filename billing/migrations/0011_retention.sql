-- Usage records by month: partitions by the id, whose first 48 bits are the moment it was made, in
-- milliseconds. So the key stays (id) alone, and a record is found and written in one partition.

-- The least id (UUID version 7) that is made in a month of UTC.
CREATE FUNCTION billing_usage_bound(month date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (
        lpad(to_hex((extract(epoch FROM month::timestamp) * 1000)::bigint), 12, '0')
        || repeat('0', 20)
    )::uuid
$$;

-- The month of UTC that an id was made in.
CREATE FUNCTION billing_usage_month(id uuid) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('month', to_timestamp(
        ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0
    ) AT TIME ZONE 'UTC')::date
$$;

-- Make the partition of a month, with what the default partition has of it; false: it was there.
CREATE FUNCTION billing_make_usage_partition(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'billing_usagerecord_' || to_char(month, 'YYYY_MM');
    lowest uuid := billing_usage_bound(month);
    above uuid := billing_usage_bound((month + interval '1 month')::date);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('usage partitions', 0));
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- ATTACH, unlike CREATE ... PARTITION OF, lets calls be written meanwhile to the other ones.
    EXECUTE format(
        'CREATE TABLE %I (LIKE billing_usagerecord INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
        'INCLUDING INDEXES)', name
    );
    LOCK TABLE billing_usagerecord_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (DELETE FROM billing_usagerecord_default WHERE id >= %L AND id < %L '
        'RETURNING *) INSERT INTO %I SELECT * FROM moved', lowest, above, name
    );
    EXECUTE format(
        'ALTER TABLE billing_usagerecord ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, lowest, above
    );
    RETURN true;
END
$$;
