-- One batch of the ledger in one round trip, and so one transaction: it commits when this returns.
--
-- Everything is read, checked and written in here because the locks that make it safe would else be
-- held while a busy Python process finds the time to go on. It is PL/pgSQL and not one statement,
-- because each statement of a function sees what was committed before that statement: after a
-- wait for a lock, what its holder has written.
--
-- Order of locks, the same for all: organizations (advisory, shared), usage records, periods by id.
--
-- `holds`, `hits`, `settlements` and `renewals` are lists of objects in the order of arrival, or
-- NULL; `record_ids` are the records that the last two are about. `organization_ids` (sorted),
-- `user_ids`, `api_key_ids`, `prompt_names`, `models` and `tags` say who holds and for what: which
-- budgets can be concerned at all. `calendar` has the period of now for each kind and time zone that
-- the caller has met so far. What is returned, an object a row, is what the caller has to hear; what
-- went as usual is not said:
--   {"type": "missing"}  nothing was booked: a period has to be opened, or the calendar told
--   {"type": "refused"}  the hold with this number, from 1, found no room
--   {"type": "room"}     for each hold the least that it leaves on a budget that can refuse; one row
--                        for all of them, and none where no such budget applies to any
--   {"type": "overrun"}  a call cost more than was held for it
-- What an entry does not say is nothing: no tokens, no name, no tags. `is_repeated` says that the batch
-- may be in the books already, all of it or a part: only then is that looked for.
CREATE FUNCTION billing_book_entries(
    holds json,
    hits json,
    settlements json,
    renewals json,
    record_ids uuid[],
    organization_ids bigint[],
    user_ids bigint[],
    api_key_ids bigint[],
    prompt_names text[],
    models text[],
    tags text[],
    calendar json,
    started timestamptz,
    lease_ends timestamptz,
    is_repeated boolean
) RETURNS SETOF json LANGUAGE plpgsql
-- Plans are made once and kept: by key, however small the tables were when they were made.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    -- What the batch adds to which periods, and up to where it may: lists side by side.
    period_ids bigint[] := '{}';
    held numeric[] := '{}';
    spent numeric[] := '{}';
    overrun numeric[] := '{}';
    ceilings numeric[] := '{}';
    overrun_ids uuid[] := '{}';
    -- Those of them that holds may be taken on: of now.
    current_ids bigint[];
    -- For each hold the periods that it is taken on, as text; NULL for one that is not written.
    taken_on text[];
    taken_ids bigint[];
    -- For each hold what it leaves; NULL where nothing can refuse it, or it is not taken.
    rooms numeric[];
    known_ids uuid[] := '{}';  -- of records that were written by a commit whose answer was lost
    is_missing boolean := false;
    is_refused boolean;
    hold_number bigint := 0;
    period_id bigint;
    room numeric;
    i int;
    budget record;
    settled record;
    asked record;
BEGIN
    -- A hold need not wait for the disk: it survives the death of its process all the same.
    IF settlements IS NULL AND hits IS NULL THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    -- Which periods the holds are to be taken on. From here on none is opened (billing/opening.py).
    IF holds IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('billing', id))
        FROM unnest(organization_ids) AS id;

        FOR budget IN
            SELECT b.id, b.period AS kind, b.time_zone, p.id AS period_id
            FROM billing_budget AS b
            LEFT JOIN json_to_recordset(calendar)
                AS now_is (kind text, time_zone text, starts_at timestamptz)
                ON now_is.kind = b.period AND now_is.time_zone = b.time_zone
            LEFT JOIN billing_budgetperiod AS p
                ON p.budget_id = b.id AND p.starts_at = now_is.starts_at
            WHERE b.organization_id = ANY (organization_ids)
                AND (b.user_id IS NULL OR b.user_id = ANY (user_ids))
                AND (b.api_key_id IS NULL OR b.api_key_id = ANY (api_key_ids))
                AND (b.prompt_name = '' OR b.prompt_name = ANY (prompt_names))
                AND (b.model = '' OR b.model = ANY (models))
                AND (b.tag = '' OR b.tag = ANY (billing_book_entries.tags))
        LOOP
            IF budget.period_id IS NULL THEN
                is_missing := true;
                RETURN NEXT json_build_object(
                    'type', 'missing', 'budget_id', budget.id,
                    'kind', budget.kind, 'time_zone', budget.time_zone
                );
            END IF;
            period_ids := period_ids || budget.period_id;
            held := held || 0.0;
            spent := spent || 0.0;
            overrun := overrun || 0.0;
            ceilings := ceilings || 0.0;
        END LOOP;
        IF is_missing THEN
            RETURN;
        END IF;
        current_ids := period_ids;
    END IF;

    -- An answer from the cache is settled from the beginning.
    IF hits IS NOT NULL THEN
        IF is_repeated THEN
            SELECT coalesce(array_agg(u.id), '{}') INTO known_ids
            FROM json_to_recordset(hits) AS h (id uuid) JOIN billing_usagerecord AS u ON u.id = h.id;
        END IF;
        INSERT INTO billing_usagerecord (
            id, request_id, attempt, surface, organization_id, user_id, user_name, api_key_id,
            api_key_prefix, prompt_name, prompt_version, experiment, arm, unit, tags, provider,
            model_asked, model_served, is_cache_hit, price, hold_usd, budget_period_ids, started_at,
            settled_at, lease_expires_at, state, outcome, finish_reason, error_class, service_tier,
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
            audio_input_tokens, audio_output_tokens, cache_write_1h_tokens, image_input_tokens,
            image_output_tokens, is_estimated, cost_usd, saved_usd, ttft_ms, duration_ms
        )
        SELECT
            id, request_id, attempt, surface, organization_id, user_id, user_name, api_key_id,
            api_key_prefix, prompt_name, prompt_version, experiment, arm, unit, tags, provider,
            model_asked, model_served, is_cache_hit, price, hold_usd, '{}', started,
            started, lease_ends, 'settled', outcome, finish_reason, error_class, service_tier,
            input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
            audio_input_tokens, audio_output_tokens, cache_write_1h_tokens, image_input_tokens,
            image_output_tokens, is_estimated, cost_usd, saved_usd, ttft_ms, duration_ms
        FROM json_populate_recordset(NULL::billing_usagerecord, hits)
        WHERE id <> ALL (known_ids);
    END IF;

    -- A record is settled once: only an open one changes, and only what has changed is booked.
    IF settlements IS NOT NULL THEN
        FOR settled IN
            UPDATE billing_usagerecord AS u SET
                state = 'settled', outcome = s.outcome,
                finish_reason = coalesce(s.finish_reason, ''),
                error_class = coalesce(s.error_class, ''),
                input_tokens = coalesce(s.input_tokens, 0),
                cached_input_tokens = coalesce(s.cached_input_tokens, 0),
                cache_write_tokens = coalesce(s.cache_write_tokens, 0),
                output_tokens = coalesce(s.output_tokens, 0),
                reasoning_tokens = coalesce(s.reasoning_tokens, 0),
                audio_input_tokens = coalesce(s.audio_input_tokens, 0),
                audio_output_tokens = coalesce(s.audio_output_tokens, 0),
                cache_write_1h_tokens = coalesce(s.cache_write_1h_tokens, 0),
                image_input_tokens = coalesce(s.image_input_tokens, 0),
                image_output_tokens = coalesce(s.image_output_tokens, 0),
                service_tier = coalesce(s.service_tier, ''),
                is_estimated = coalesce(s.is_estimated, false), settled_at = started,
                cost_usd = s.cost_usd, ttft_ms = s.ttft_ms, duration_ms = s.duration_ms,
                model_served = s.model_served
            FROM json_to_recordset(settlements) AS s (
                id uuid, outcome text, finish_reason text, error_class text, input_tokens int,
                cached_input_tokens int, cache_write_tokens int, output_tokens int,
                reasoning_tokens int, audio_input_tokens int, audio_output_tokens int,
                cache_write_1h_tokens int, image_input_tokens int, image_output_tokens int,
                service_tier text, is_estimated boolean, cost_usd numeric, ttft_ms int,
                duration_ms int, model_served text, is_swept boolean
            )
            -- By key, and not `= 'started'`: that would read the index of all open calls. BETWEEN is
            -- what keeps the other months' partitions closed: the ids are sorted.
            WHERE u.id = s.id AND u.id = ANY (record_ids) AND u.state <> 'settled'
                AND u.id BETWEEN record_ids[1] AND record_ids[cardinality(record_ids)]
                AND (s.is_swept IS NOT TRUE OR u.lease_expires_at < started)
            RETURNING u.id, u.hold_usd, coalesce(u.cost_usd, 0) AS cost_usd, u.budget_period_ids
        LOOP
            FOREACH period_id IN ARRAY settled.budget_period_ids LOOP
                i := array_position(period_ids, period_id);
                IF i IS NULL THEN
                    period_ids := period_ids || period_id;
                    held := held || 0.0;
                    spent := spent || 0.0;
                    overrun := overrun || 0.0;
                    ceilings := ceilings || 0.0;
                    i := cardinality(period_ids);
                END IF;
                held[i] := held[i] - settled.hold_usd;
                spent[i] := spent[i] + settled.cost_usd;
                overrun[i] := overrun[i] + greatest(settled.cost_usd - settled.hold_usd, 0);
            END LOOP;
            IF settled.cost_usd > settled.hold_usd AND settled.budget_period_ids <> '{}' THEN
                overrun_ids := overrun_ids || settled.id;
                RETURN NEXT json_build_object(
                    'type', 'overrun', 'usage_id', settled.id, 'cost_usd', settled.cost_usd::text
                );
            END IF;
        END LOOP;
    END IF;

    IF renewals IS NOT NULL THEN
        UPDATE billing_usagerecord AS u
        SET lease_expires_at = lease_ends, output_tokens = r.output_tokens
        FROM json_to_recordset(renewals) AS r (id uuid, output_tokens int)
        WHERE u.id = r.id AND u.id = ANY (record_ids) AND u.state <> 'settled'
            AND u.id BETWEEN record_ids[1] AND record_ids[cardinality(record_ids)];
    END IF;

    IF period_ids <> '{}' THEN
        PERFORM FROM billing_budgetperiod AS p
        WHERE p.id = ANY (period_ids) ORDER BY p.id FOR UPDATE;
    END IF;

    -- Looked for behind the locks: whoever wrote it first may only just have ended.
    IF holds IS NOT NULL AND is_repeated THEN
        SELECT coalesce(array_agg(u.id), '{}') INTO known_ids
        FROM json_to_recordset(holds) AS h (id uuid) JOIN billing_usagerecord AS u ON u.id = h.id;
    END IF;

    -- Admit in the order of arrival. Limits are those of this moment, never remembered.
    IF holds IS NOT NULL AND current_ids = '{}' THEN
        taken_on := array_fill('{}'::text, ARRAY[json_array_length(holds)]);
    ELSIF holds IS NOT NULL THEN
        rooms := array_fill(NULL::numeric, ARRAY[json_array_length(holds)]);
        FOR asked IN
            WITH of_now AS MATERIALIZED (
                SELECT p.id AS period_id, p.ends_at, b.id, b.organization_id, b.user_id,
                    b.api_key_id, b.prompt_name, b.model, b.tag, b.name, b.limit_usd,
                    b.is_hard AND b.is_active AS refuses, p.spent_usd,
                    b.limit_usd - p.spent_usd - p.held_usd AS room_usd
                FROM unnest(current_ids) AS c (id)
                JOIN billing_budgetperiod AS p ON p.id = c.id
                JOIN billing_budget AS b ON b.id = p.budget_id
            )
            SELECT h.number, h.hold_usd, b.*
            FROM ROWS FROM (
                json_to_recordset(holds) AS (
                    id uuid, organization_id bigint, user_id bigint, api_key_id bigint,
                    prompt_name text, model_asked text, tags text[], hold_usd numeric
                )
            ) WITH ORDINALITY AS h (
                id, organization_id, user_id, api_key_id, prompt_name, model_asked, tags, hold_usd,
                number
            )
            LEFT JOIN of_now AS b ON b.organization_id = h.organization_id
                AND (b.user_id IS NULL OR b.user_id = h.user_id)
                AND (b.api_key_id IS NULL OR b.api_key_id = h.api_key_id)
                AND (b.prompt_name = '' OR b.prompt_name = h.prompt_name)
                AND (b.model = '' OR b.model = h.model_asked)
                AND (b.tag = '' OR b.tag = ANY (h.tags))
            WHERE h.id <> ALL (known_ids)
            ORDER BY h.number, b.id
        LOOP
            IF asked.number > hold_number THEN
                hold_number := asked.number;
                is_refused := false;
                taken_ids := '{}';
                taken_on[hold_number] := '{}';
            END IF;
            CONTINUE WHEN is_refused OR asked.period_id IS NULL;
            i := array_position(period_ids, asked.period_id);
            room := greatest(asked.room_usd - held[i] - spent[i], 0);
            -- What holds nothing (a model without a price) has room also where a limit was lowered.
            IF asked.refuses AND asked.hold_usd > room THEN
                is_refused := true;
                taken_on[hold_number] := NULL;
                rooms[hold_number] := NULL;
                FOREACH period_id IN ARRAY taken_ids LOOP
                    i := array_position(period_ids, period_id);
                    held[i] := held[i] - asked.hold_usd;
                END LOOP;
                RETURN NEXT json_build_object(
                    'type', 'refused', 'number', hold_number, 'budget', asked.name,
                    'limit_usd', asked.limit_usd::text, 'room_usd', room::text,
                    'spent_usd', (asked.spent_usd + spent[i])::text,
                    'hold_usd', asked.hold_usd::text, 'ends_at', asked.ends_at
                );
            ELSE
                held[i] := held[i] + asked.hold_usd;
                IF asked.refuses THEN
                    ceilings[i] := asked.limit_usd;
                    rooms[hold_number] := least(rooms[hold_number], room - asked.hold_usd);
                ELSE
                    ceilings[i] := 'Infinity';
                END IF;
                taken_ids := taken_ids || asked.period_id;
                taken_on[hold_number] := taken_ids::text;
            END IF;
        END LOOP;
        IF array_remove(rooms, NULL) <> '{}' THEN
            RETURN NEXT json_build_object('type', 'room', 'left_usd', rooms::text[]);
        END IF;
    END IF;

    IF holds IS NOT NULL THEN
        INSERT INTO billing_usagerecord (
            id, request_id, attempt, surface, organization_id, user_id, user_name, api_key_id,
            api_key_prefix, prompt_name, prompt_version, experiment, arm, unit, tags, provider,
            model_asked, model_served, is_cache_hit, input_tokens, price, hold_usd,
            budget_period_ids, started_at, lease_expires_at, state, outcome, finish_reason,
            error_class, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
            audio_input_tokens, audio_output_tokens, cache_write_1h_tokens, image_input_tokens,
            image_output_tokens, service_tier, is_estimated
        )
        SELECT
            id, request_id, coalesce(attempt, 1), surface, organization_id, user_id,
            coalesce(user_name, ''), api_key_id, coalesce(api_key_prefix, ''),
            coalesce(prompt_name, ''), prompt_version, coalesce(experiment, ''), coalesce(arm, ''),
            coalesce(unit, ''), coalesce(tags, '{}'), provider, model_asked, model_served, false,
            coalesce(input_tokens, 0), price, hold_usd, taken_on[ordinality]::bigint[], started,
            lease_ends, 'started', '', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, coalesce(service_tier, ''),
            false
        FROM json_populate_recordset(NULL::billing_usagerecord, holds) WITH ORDINALITY
        WHERE taken_on[ordinality] IS NOT NULL AND id <> ALL (known_ids);
    END IF;

    -- What is admitted raises the peak, and on a hard budget no further than its limit: should it be
    -- more, the constraint `budget_period_admitted` refuses the batch.
    UPDATE billing_budgetperiod AS p
    SET spent_usd = p.spent_usd + added.spent,
        held_usd = p.held_usd + added.held,
        overrun_usd = p.overrun_usd + added.overrun,
        peak_usd = greatest(p.peak_usd, least(
            added.ceiling,
            p.spent_usd + p.held_usd - p.overrun_usd + added.spent + added.held - added.overrun
        ))
    FROM unnest(period_ids, held, spent, overrun, ceilings)
        AS added (id, held, spent, overrun, ceiling)
    WHERE p.id = added.id AND (added.held <> 0 OR added.spent <> 0);

    IF overrun_ids <> '{}' THEN
        INSERT INTO billing_overrun (usage_id, period_id, held_usd, cost_usd, over_usd, created_at)
        SELECT u.id, p.id, u.hold_usd, u.cost_usd, u.cost_usd - u.hold_usd, started
        FROM billing_usagerecord AS u
        JOIN billing_budgetperiod AS p ON p.id = ANY (u.budget_period_ids)
        WHERE u.id = ANY (overrun_ids);
    END IF;
END
$$;
