-- Ordinary analyses that must be accepted under the default policy, one a paragraph; free to extend.

SELECT DATE(uploaded_at) AS day, COUNT(*) FROM documents GROUP BY DATE(uploaded_at) ORDER BY day;

SELECT name, (string_to_array(name, ' '))[1] AS first_word FROM projects;

SELECT (ARRAY_AGG(name ORDER BY budget DESC))[1:3] AS top3 FROM projects;

SELECT LPAD(EXTRACT(MONTH FROM date)::text, 2, '0') AS mm, SUM(amount) FROM expenses GROUP BY 1;

SELECT p.name, COALESCE(SUM(e.amount) FILTER (WHERE e.payment_status = 'paid'), 0) AS paid, COUNT(*) FILTER (WHERE e.payment_status <> 'paid') AS open_items
FROM projects p LEFT JOIN expenses e ON e.project_id = p.id GROUP BY p.id, p.name HAVING SUM(e.amount) > p.budget * 0.5;

SELECT name FROM projects WHERE start_date >= date_trunc('quarter', CURRENT_DATE) - INTERVAL '3 months' AND start_date < date_trunc('quarter', CURRENT_DATE);

SELECT category, SUM(amount) AS total, ROUND(100.0 * SUM(amount) / SUM(SUM(amount)) OVER (), 2) AS share FROM expenses GROUP BY category ORDER BY total DESC;

SELECT DISTINCT ON (project_id) project_id, title, uploaded_at FROM documents ORDER BY project_id, uploaded_at DESC;

SELECT date_trunc('month', date) AS month, SUM(CASE WHEN direction = 'inflow' THEN amount ELSE -amount END) AS net,
       SUM(SUM(CASE WHEN direction = 'inflow' THEN amount ELSE -amount END)) OVER (ORDER BY date_trunc('month', date)) AS running
FROM cashflow GROUP BY 1 ORDER BY 1;

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS median, percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY amount) AS quartiles FROM expenses;

SELECT v.name, e.total FROM vendors v JOIN LATERAL (SELECT SUM(amount) AS total FROM expenses WHERE vendor_id = v.id) e ON TRUE WHERE e.total IS NOT NULL;

SELECT name, budget, NTILE(4) OVER w AS quartile, budget - LAG(budget) OVER w AS step FROM projects WINDOW w AS (ORDER BY budget);

SELECT city, project_type, COUNT(*) FROM projects GROUP BY CUBE (city, project_type) ORDER BY city NULLS LAST, project_type;

SELECT city, COUNT(*) FROM projects GROUP BY (city) HAVING COUNT(*) > 1;

SELECT to_char(d, 'YYYY-MM') AS month, COUNT(p.id) FROM generate_series(DATE '2024-01-01', DATE '2024-12-01', INTERVAL '1 month') AS d LEFT JOIN projects p ON date_trunc('month', p.start_date) = d GROUP BY d ORDER BY d;

SELECT x.city, x.n FROM (SELECT city, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS r FROM projects GROUP BY city) AS x WHERE x.r <= 3;

SELECT worker_name, SUM(hours) AS hours, SUM(hours * hourly_rate)::numeric(12, 2) AS cost, MIN(work_date) AS since FROM labor WHERE trade IN ('welder', 'mason') AND work_date BETWEEN '2024-01-01' AND '2024-06-30' GROUP BY worker_name ORDER BY 3 DESC NULLS LAST FETCH FIRST 10 ROWS ONLY;

SELECT name FROM projects WHERE name ~* '(tower|plaza)$' OR name SIMILAR TO '%(Bridge|Road)%' OR lower(name) LIKE ANY (ARRAY['%park%', '%mall%']);

SELECT p.name, CASE p.status WHEN 'active' THEN 'running' WHEN 'on_hold' THEN 'paused' ELSE INITCAP(REPLACE(p.status::text, '_', ' ')) END AS state FROM projects AS p;

SELECT name, AGE(CURRENT_DATE, start_date) AS age, (CURRENT_DATE - start_date) AS days, EXTRACT(DAY FROM AGE(planned_end_date, start_date)) AS d FROM projects WHERE actual_end_date IS NULL;

SELECT json_build_object('project', p.name, 'vendors', json_agg(DISTINCT v.name)) AS doc FROM projects p JOIN expenses e ON e.project_id = p.id JOIN vendors v ON v.id = e.vendor_id GROUP BY p.name LIMIT 5;

SELECT p.id, p.name FROM projects p WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.project_id = p.id AND d.document_type = 'permit') IS NULL;

SELECT p.id, p.name FROM projects p WHERE p.id NOT IN (SELECT project_id FROM documents WHERE status = 'expired') AND p.budget > ALL (SELECT AVG(amount) FROM expenses GROUP BY category);

WITH RECURSIVE months AS (SELECT DATE '2024-01-01' AS m UNION ALL SELECT (m + INTERVAL '1 month')::date FROM months WHERE m < DATE '2024-12-01')
SELECT months.m, COALESCE(SUM(c.amount), 0) AS inflow FROM months LEFT JOIN cashflow c ON date_trunc('month', c.date) = months.m AND c.direction = 'inflow' GROUP BY months.m ORDER BY months.m;

WITH spend (project_id, total) AS MATERIALIZED (SELECT project_id, SUM(amount) FROM expenses GROUP BY project_id), ranked AS (SELECT *, ROW_NUMBER() OVER (ORDER BY total DESC) AS place FROM spend)
SELECT p.name, r.total, r.place FROM ranked r JOIN projects p ON p.id = r.project_id WHERE r.place <= 5 ORDER BY r.place;

SELECT 'projects' AS what, COUNT(*) AS n FROM projects UNION ALL SELECT 'vendors', COUNT(*) FROM vendors UNION ALL SELECT 'documents', COUNT(*) FROM documents ORDER BY n DESC LIMIT 2;

(SELECT name, budget FROM projects ORDER BY budget DESC LIMIT 3) UNION ALL (SELECT name, budget FROM projects ORDER BY budget LIMIT 3);

SELECT o.name, COUNT(DISTINCT p.id) AS projects, COUNT(DISTINCT v.id) AS vendors FROM organizations o LEFT JOIN projects p ON p.organization_id = o.id LEFT JOIN vendors v ON v.organization_id = o.id GROUP BY o.id ORDER BY o.name;

SELECT * FROM projects p JOIN organizations o ON o.id = p.organization_id WHERE o.name ILIKE '%build%' ORDER BY p.name OFFSET 5 ROWS FETCH NEXT 10 ROWS ONLY;

SELECT expenses.*, projects.name AS project FROM expenses INNER JOIN projects ON projects.id = expenses.project_id WHERE expenses.amount > 1e5;

SELECT public.projects.name FROM public.projects WHERE public.projects.budget > 1000000;

SELECT date AS "Date", amount AS "Amount ($)" FROM expenses ORDER BY "Date" DESC, "Amount ($)" LIMIT 20;

SELECT vendor_id, STRING_AGG(DISTINCT category::text, ', ' ORDER BY category::text) AS categories FROM expenses WHERE vendor_id IS NOT NULL GROUP BY vendor_id;

SELECT COUNT(*), COUNT(vendor_id), COUNT(*) - COUNT(vendor_id) AS without_vendor FROM expenses WHERE false OR amount IS NULL;

SELECT EXTRACT(YEAR FROM date)::int AS year, EXTRACT(WEEK FROM date) AS week, TO_CHAR(date, 'Day') AS weekday, date_part('dow', date) AS dow FROM expenses LIMIT 5;

SELECT uploaded_at AT TIME ZONE 'America/New_York' AS local, uploaded_at::date, now() - uploaded_at AS old FROM documents WHERE uploaded_at > now() - INTERVAL '90 days';

SELECT project_id, CORR(hours, hourly_rate) AS r, REGR_SLOPE(hourly_rate, hours) AS slope, STDDEV(hours), VAR_POP(hours) FROM labor GROUP BY project_id;

SELECT m.name, SUM(m.quantity) || ' ' || m.unit AS delivered, MAX(m.unit_cost) - MIN(m.unit_cost) AS spread FROM materials m GROUP BY m.name, m.unit ORDER BY m.name COLLATE "C";

SELECT id, amount, amount > (SELECT AVG(x.amount) FROM expenses x WHERE x.category = e.category) AS above FROM expenses e LIMIT 10;

SELECT SPLIT_PART(invoice_number, '-', 1) AS prefix, COUNT(*) FROM expenses WHERE invoice_number IS NOT NULL GROUP BY prefix ORDER BY 2 DESC;

SELECT name, rating, CASE WHEN rating IS NULL THEN 'unrated' WHEN rating >= 4 THEN 'good' ELSE 'poor' END AS grade FROM vendors ORDER BY rating DESC NULLS LAST, name;

SELECT a.name AS a, b.name AS b FROM vendors a, vendors b WHERE a.city = b.city AND a.id < b.id AND (a.rating, a.id) > (b.rating, 0) LIMIT 10;

SELECT name, daterange(start_date, planned_end_date) && daterange('2024-01-01', '2024-07-01') AS in_h1, upper(daterange(start_date, planned_end_date)) FROM projects;

SELECT t.year, t.q, SUM(t.amount) FROM (SELECT EXTRACT(YEAR FROM date) AS year, EXTRACT(QUARTER FROM date) AS q, amount FROM expenses) t GROUP BY GROUPING SETS ((t.year, t.q), (t.year), ()) ORDER BY 1, 2;

SELECT FIRST_VALUE(name) OVER (PARTITION BY city ORDER BY budget DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS biggest, city FROM projects;

SELECT name FROM projects WHERE budget BETWEEN SYMMETRIC 2000000 AND 1000000 AND completion_percentage IS NOT DISTINCT FROM 100;

SELECT SUM(amount) FROM expenses WHERE date >= make_date(EXTRACT(YEAR FROM CURRENT_DATE)::int, 1, 1) AND description ILIKE '%50\%%' ESCAPE '\';

SELECT u.status, COUNT(d.id) FROM unnest(ARRAY['draft', 'approved']::document_status[]) WITH ORDINALITY AS u(status, place) LEFT JOIN documents d ON d.status = u.status GROUP BY u.status, u.place ORDER BY u.place;

SELECT e->>'name' AS name, (e->>'n')::int AS n FROM jsonb_array_elements('[{"name": "a", "n": 1}]'::jsonb) AS e;

SELECT k.key, k.value FROM jsonb_each_text('{"a": 1}'::jsonb) AS k ORDER BY k.key;

SELECT p.name, -- the project
       SUM(e.amount) /* all of it */ AS total
FROM projects p
JOIN expenses e ON e.project_id = p.id
WHERE e.description <> 'a;b' AND p.name <> 'it''s'
GROUP BY p.name;

SELECT COUNT(*) AS count, SUM(amount) AS sum, MAX(date) AS max FROM expenses ORDER BY count, sum;

SELECT name, CAST(budget AS double precision) / 3, budget::bigint, CAST(start_date AS timestamp with time zone), TRUE AS flag, NULL::text AS nothing FROM projects LIMIT 1;
