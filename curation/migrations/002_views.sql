-- Views speak of the latest run that came to its end, and of the newest verdict of its verifiers on each response.

CREATE VIEW v_run AS
SELECT r.*, e.rows_in, e.roles, e.finished_at
FROM runs r JOIN run_ends e USING (run)
ORDER BY run DESC LIMIT 1;

CREATE VIEW v_decision AS
SELECT p.problem_id, w.id, w.source, w.domain, d.status, d.stage, d.reason, d.evidence, w.file, w.line, w.row, w.pid
FROM decisions d
JOIN (SELECT run FROM v_run) USING (run)
JOIN pool_rows w USING (run, row)
LEFT JOIN problems p USING (pid);

CREATE VIEW v_funnel AS
SELECT stage, reason, n FROM (
    SELECT 0 AS place, 'in' AS stage, 'rows' AS reason, rows_in AS n FROM v_run
    UNION ALL
    SELECT CASE status WHEN 'rejected' THEN 1 WHEN 'undecided' THEN 2 ELSE 3 END AS place, stage, reason, count(*) AS n
    FROM v_decision GROUP BY ALL
)
ORDER BY place, n DESC, stage, reason;

CREATE VIEW v_kept AS
SELECT w.row, p.pid, p.problem_id, w.id, w.source, w.domain, w.licence, w.url, p.type, p.prompt, p.reward, w.metadata, d.evidence
FROM decisions d
JOIN (SELECT run FROM v_run) USING (run)
JOIN pool_rows w USING (run, row)
JOIN problems p USING (pid)
WHERE d.status = 'kept'
ORDER BY w.row;

CREATE VIEW v_rejections AS
SELECT stage, reason, source, domain, count(*) AS n
FROM v_decision WHERE status = 'rejected' GROUP BY ALL ORDER BY n DESC, stage, reason, source, domain;

CREATE VIEW v_undecided AS
SELECT problem_id, id, source, domain, reason, evidence FROM v_decision WHERE status = 'undecided';

-- Grades that count: of the run's verifiers, and not IE. Where a response was graded again, the later verdict.
CREATE VIEW v_grade AS
SELECT g.pid, g.mid, g.sample, g.vid, g.verdict, g.score, g.reason, g.detail, g.cpu_s, g.wall_s, g.memory_bytes
FROM grades g
WHERE g.vid IN (SELECT vid FROM run_verifiers WHERE run = (SELECT run FROM v_run));

CREATE VIEW v_rate AS
SELECT pid, mid, count(*) FILTER (verdict = 'AC') AS k, count(*) FILTER (verdict <> 'IE') AS n,
       count(*) FILTER (verdict = 'IE') AS faults
FROM v_grade GROUP BY pid, mid;

-- low and high: Wilson's interval at 95 %.
CREATE VIEW v_pass_rate AS
SELECT p.problem_id, m.name AS model, r.k, r.n, r.k / nullif(r.n, 0) AS pass_rate,
       greatest(0, (r.k + 1.9207294) / (r.n + 3.8414588)
           - 1.959964 * sqrt(r.k * (r.n - r.k) / nullif(r.n, 0) + 0.9603647) / (r.n + 3.8414588)) AS low,
       least(1, (r.k + 1.9207294) / (r.n + 3.8414588)
           + 1.959964 * sqrt(r.k * (r.n - r.k) / nullif(r.n, 0) + 0.9603647) / (r.n + 3.8414588)) AS high
FROM v_rate r
JOIN models m USING (mid)
JOIN problems p USING (pid)
WHERE NOT starts_with(m.name, '@') AND r.n > 0;

-- The scores that came with the rollouts: another grader's.
CREATE VIEW v_recorded_rate AS
SELECT p.problem_id, m.name AS model, count(*) FILTER (r.recorded >= 1) AS k, count(*) AS n, k / n AS pass_rate
FROM rollouts r JOIN models m USING (mid) JOIN problems p USING (pid)
WHERE r.recorded IS NOT NULL GROUP BY ALL;

CREATE VIEW v_difficulty_hist AS
SELECT w.source, w.domain, r.model, least(floor(r.pass_rate * 10), 9)::INTEGER AS bin, count(*) AS n
FROM v_pass_rate r
JOIN (SELECT DISTINCT problem_id, source, domain FROM v_decision) w USING (problem_id)
GROUP BY ALL ORDER BY ALL;

CREATE VIEW v_contamination AS
SELECT p.problem_id, c.benchmark, c.item_id, c.rule, c.span, w.id, w.source
FROM contamination c
JOIN (SELECT run FROM v_run) USING (run)
JOIN pool_rows w USING (run, row)
JOIN problems p USING (pid);

CREATE VIEW v_gold_conflicts AS
SELECT problem_id, id, source, evidence FROM v_decision WHERE reason = 'gold.conflict';

-- A test counts where it was run: with stop_on_failure, those behind the first failure were not.
CREATE VIEW v_test_difficulty AS
SELECT p.problem_id, o.test, o.k, o.n, o.k / o.n AS pass_rate, coalesce(r.tier, t.tier) AS tier
FROM (
    SELECT pid, test, count(*) FILTER (bit = 1) AS k, count(*) AS n
    FROM (
        SELECT o.pid, unnest(range(o.ran)) AS test, get_bit(o.passed, unnest(range(o.ran))::INTEGER) AS bit
        FROM test_outcomes o
        JOIN models m USING (mid)
        WHERE NOT starts_with(m.name, '@')
          AND o.vid IN (SELECT vid FROM run_verifiers WHERE run = (SELECT run FROM v_run))
    )
    GROUP BY ALL
) o
JOIN problems p USING (pid)
LEFT JOIN tests t USING (pid, test)
LEFT JOIN (SELECT pid, test, tier FROM test_tiers JOIN (SELECT run FROM v_run) USING (run)) r USING (pid, test);

-- The mean is over the policy's rollouts, one voice a problem.
CREATE VIEW v_source_stats AS
SELECT d.source, d.domain, count(*) AS n, count(*) FILTER (d.status = 'kept') AS kept, avg(r.rate) AS mean_pass_rate
FROM v_decision d
LEFT JOIN (
    SELECT pid, sum(k) / nullif(sum(n), 0) AS rate
    FROM v_rate JOIN models m USING (mid)
    WHERE list_contains(from_json((SELECT roles -> '$.policy' FROM v_run), '["VARCHAR"]'), m.name) GROUP BY pid
) r USING (pid)
GROUP BY ALL ORDER BY ALL;
