-- Make the table of usage records anew, in partitions or as one: same rows, columns, checks,
-- indexes and foreign keys, by the same names. Nobody can use it meanwhile.
CREATE FUNCTION pg_temp.rebuild_usage(in_partitions boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    definitions text[];
    definition text;
    month date;
BEGIN
    LOCK TABLE billing_usagerecord IN ACCESS EXCLUSIVE MODE;
    SELECT array_agg(text) INTO definitions FROM (
        SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS text
        FROM pg_index
        WHERE indrelid = 'billing_usagerecord'::regclass AND NOT indisprimary
        UNION ALL
        SELECT format(
            'ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
            pg_get_constraintdef(oid)
        )
        FROM pg_constraint
        WHERE contype = 'f' AND conparentid = 0
            AND 'billing_usagerecord'::regclass IN (conrelid, confrelid)
    ) AS found;

    ALTER TABLE billing_usagerecord RENAME TO billing_usagerecord_before;
    EXECUTE 'CREATE TABLE billing_usagerecord (LIKE billing_usagerecord_before INCLUDING DEFAULTS '
        'INCLUDING CONSTRAINTS)' || CASE WHEN in_partitions THEN ' PARTITION BY RANGE (id)' ELSE '' END;
    IF in_partitions THEN
        CREATE TABLE billing_usagerecord_default PARTITION OF billing_usagerecord DEFAULT;
        -- Months that records were started in; an id of another kind stays in the default partition.
        FOR month IN
            SELECT DISTINCT date_trunc('month', started_at AT TIME ZONE 'UTC')::date
            FROM billing_usagerecord_before
            UNION
            SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + ahead * interval '1 month')::date
            FROM generate_series(0, 2) AS ahead
        LOOP
            PERFORM billing_make_usage_partition(month);
        END LOOP;
    END IF;
    INSERT INTO billing_usagerecord SELECT * FROM billing_usagerecord_before;
    DROP TABLE billing_usagerecord_before CASCADE;
    ALTER TABLE billing_usagerecord ADD PRIMARY KEY (id);
    FOREACH definition IN ARRAY definitions LOOP
        EXECUTE definition;
    END LOOP;
END
$$;
