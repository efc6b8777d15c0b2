-- What was decided stays: a posted or declined correction changes no more, nor do its adjustments,
-- but for the periods they count on: those of budgets that are added later too.
CREATE FUNCTION billing_keep_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'billing_correction' THEN
        IF OLD.state <> 'proposed' THEN
            RAISE EXCEPTION 'A decided correction is not edited.' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'budget_period_ids' = to_jsonb(NEW) - 'budget_period_ids'
    THEN
        RETURN NEW;
    ELSIF EXISTS (
        SELECT FROM billing_correction
        WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.correction_id ELSE NEW.correction_id END
            AND state <> 'proposed'
    ) THEN
        RAISE EXCEPTION 'A decided correction is not edited.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;

CREATE TRIGGER billing_correction_stays BEFORE UPDATE OR DELETE ON billing_correction
    FOR EACH ROW EXECUTE FUNCTION billing_keep_decided();
CREATE TRIGGER billing_adjustment_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_adjustment
    FOR EACH ROW EXECUTE FUNCTION billing_keep_decided();
