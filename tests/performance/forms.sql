-- Expressions over the values of adversaries.py, one a line: what the grammar calls without a name, and hard cases.
a LIKE pattern
a NOT LIKE wild
a ILIKE pattern
a ILIKE wild
a LIKE pattern ESCAPE 'x'
a SIMILAR TO pattern
a SIMILAR TO regex
a BETWEEN ab AND ba
a IN (ab, ba, bs)
POSITION(ba IN a)
TRIM(BOTH bs FROM a)
TRIM(LEADING ab FROM a)
TRIM(TRAILING ba FROM a)
OVERLAY(a PLACING ba FROM 100 FOR 100000)
SUBSTRING(a FROM 5 FOR 100000)
SUBSTRING(a FROM wild)
SUBSTRING(a SIMILAR regex ESCAPE '#')
GREATEST(a, ab, ba)
LEAST(n, m)
i1[100000]
t1[2:200000]
i1 = i2
i1 < i2
t1 = t2
j1 = j2
o < o
n = ANY(ARRAY[m, n])
a = ANY(t1)
a = ALL(t1)
a LIKE ANY(t1)
a LIKE ALL(t2)
a ~ ANY(zeros)
n NOT IN (m, fraction)
NULLIF(a, ab)
upper(a COLLATE "und-x-icu")
lower(a COLLATE "en-x-icu")
a COLLATE "en-x-icu" < ab
initcap(a COLLATE "und-x-icu")
strpos(a COLLATE "und-x-icu", ba)
a COLLATE "und-x-icu" ILIKE pattern
replace(a COLLATE "und-x-icu", ba, '')
to_char(timestamp '2020-01-01', format)
to_char(n, format)
to_date(a, format)
to_timestamp(format, format)
to_number(digits, format)
to_number(digits, digits)
to_number(digits, repeat('9', 131000))
to_char(n, repeat('9', 131000))
(SELECT sum(n) FROM generate_series(1, 3))
(SELECT stddev(m) FROM generate_series(1, 3) i)
(SELECT avg(n * i) FROM generate_series(1, 3) i)
(SELECT var_pop(n + i) FROM generate_series(1, 3) i)
(SELECT string_agg(a, ab) FROM generate_series(1, 100))
(SELECT array_agg(i1) FROM generate_series(1, 20))
(SELECT jsonb_agg(j1) FROM generate_series(1, 10))
(SELECT json_agg(j1) FROM generate_series(1, 10))
(SELECT jsonb_object_agg(a || i, j1) FROM generate_series(1, 10) i)
(SELECT json_object_agg(a || i, j1) FROM generate_series(1, 10) i)
(SELECT count(DISTINCT a || i) FROM generate_series(1, 100) i)
(SELECT mode() WITHIN GROUP (ORDER BY i % 3 + n) FROM generate_series(1, 100) i)
(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FROM generate_series(1, 100000) i)
(SELECT max(a || i) FROM generate_series(1, 1000) i)
(SELECT jsonb_object_agg('a', i) FROM generate_series(1, 150000) i)
(SELECT count(*) FROM (SELECT count(*) OVER (ORDER BY i ROWS BETWEEN 20000 PRECEDING AND 20000 FOLLOWING EXCLUDE CURRENT ROW) FROM generate_series(1, 40000) i) w)
(SELECT count(w) FROM (SELECT max(i) OVER (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE GROUP) AS w FROM generate_series(1, 300000) i) v)
exp(100000.0)
exp(290000.5)
exp(-290000.5)
ln(n)
ln(m)
log(2, n)
log(n)
log(m, n)
power(9999999.99, 18000.5)
power(1.0001, 1e9)
9999999.99 ^ 18000.25
power(n, 0.5)
power(m, 0.33)
power(1 + fraction, 20000.5)
sqrt(n)
sqrt(m)
n * n
m * m
n / m
m / n
n % m
div(n, m)
mod(n, 7)
n / 7
fraction * fraction
fraction / (fraction + 1)
gcd(n, 7::numeric)
n::text
n::text::numeric
n::float8
n::int8
digits::numeric
('1e' || 131000)::numeric
CAST('x' AS char(10000000))
CAST(a AS varchar(10))
nested::json
nested::jsonb
j1::text::jsonb
t1::text::text[]
left(a, 100000)
array_sort(t1)
array_sort(i2)
array_sort(t1, true)
regexp_replace(a, '(a)(a)(a)', '\3\2\1', 'g')
regexp_replace(a, '(a*)*b', '')
a ~ '(a*)*b'
a ~ '(a|aa)+$b'
a ~ '(a+)\1b'
a ~ '^(a?){1,200}a{200}b'
a ~ '(.*)(.*)(.*)(.*)(.*)x\1'
a ~ regex
a ~ alternatives
a ~ a
a ~* alternatives
'x' ~ '((((x{1,99}){1,99}){1,99}){1,99})'
'x' ~ repeat('[a-z]', 20000)
'x' ~ repeat('(x{1,250})', 500)
'x' ~ repeat('[^a]', 20000)
'x' ~ ('[' || repeat('a-z', 100000) || ']')
'x' ~* ('[' || repeat('à-ż', 100000) || ']')
'x' ~ repeat('(?=x)', 3000)
'x' ~ repeat('\m', 30000)
'x' ~ repeat('(', 3000)
ARRAY[a, ab, ba]
jsonb_pretty(deep)
jsonb_set(deep, zeros, deep)
deep @> deep
deep || deep
jsonb_strip_nulls(deep)
deep #> zeros
to_jsonb(i1)
to_json(t1)
array_to_json(i1)
