-- Deterministic rows; dates reach back two years from the day of loading, booked visits a month ahead.
CREATE FUNCTION pg_temp.pick(key text, n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
$$ SELECT (('x' || substr(md5(key), 1, 7))::bit(28)::integer % n) $$;

INSERT INTO clinics VALUES (1, 'Harbor Animal Clinic', 'Portland'), (2, 'Meadow Vet Center', 'Salem'), (3, 'Hilltop Pet Hospital', 'Eugene');

INSERT INTO owners
SELECT n, f.name || ' ' || l.name, t.name, '555-01' || lpad(n::text, 2, '0'), CURRENT_DATE - 900 + pg_temp.pick('oj' || n, 860)
FROM generate_series(1, 60) AS n
JOIN (VALUES (0,'Alice'),(1,'Bruno'),(2,'Clara'),(3,'Derek'),(4,'Esther'),(5,'Felix'),(6,'Greta'),(7,'Hassan'),(8,'Irene'),(9,'Jonas')) AS f (k, name) ON f.k = (n - 1) % 10
JOIN (VALUES (0,'Underwood'),(1,'Ferreira'),(2,'Kowalski'),(3,'Lindqvist'),(4,'Okonkwo'),(5,'Whitaker')) AS l (k, name) ON l.k = (n - 1) / 10
JOIN (VALUES (0,'Portland'),(1,'Salem'),(2,'Eugene'),(3,'Corvallis'),(4,'Bend')) AS t (k, name) ON t.k = pg_temp.pick('ot' || n, 5);

INSERT INTO pets
SELECT n, 1 + pg_temp.pick('po' || n, 60), p.name, b.species::species, b.breed, CURRENT_DATE - 120 - pg_temp.pick('pb' || n, 4300),
       round((b.kg * (0.7 + pg_temp.pick('pw' || n, 70) / 100.0))::numeric, 1)
FROM generate_series(1, 90) AS n
JOIN (VALUES (0,'Biscuit'),(1,'Luna'),(2,'Rocky'),(3,'Pepper'),(4,'Ziggy'),(5,'Noodle'),(6,'Shadow'),(7,'Clover'),(8,'Mango'),(9,'Duchess'),
             (10,'Otis'),(11,'Tofu'),(12,'Bandit'),(13,'Waffles'),(14,'Juniper')) AS p (k, name) ON p.k = pg_temp.pick('pn' || n, 15)
JOIN (VALUES (0,'dog','Labrador',30.0),(1,'dog','Beagle',12.0),(2,'dog','Poodle',9.0),(3,'cat','Siamese',4.2),(4,'cat','Maine Coon',7.5),
             (5,'cat','Tabby',4.5),(6,'rabbit','Angora',2.8),(7,'bird','Cockatiel',0.4),(8,'reptile','Gecko',0.3),(9,'dog','Labrador',30.0)) AS b (k, species, breed, kg)
  ON b.k = pg_temp.pick('ps' || n, 10);

INSERT INTO vets VALUES
    (1, 1, 'Dr. Naomi Adler', 'general', 62.00), (2, 1, 'Dr. Tomas Rivera', 'surgery', 95.00), (3, 1, 'Dr. Wen Zhao', 'dentistry', 78.00),
    (4, 2, 'Dr. Priya Raman', 'general', 60.00), (5, 2, 'Dr. Oskar Lund', 'dermatology', 81.50), (6, 3, 'Dr. Fiona Burke', 'general', 64.00),
    (7, 3, 'Dr. Samuel Idowu', 'surgery', 98.00), (8, 3, 'Dr. Elena Petrova', 'dermatology', 79.00);

INSERT INTO visits
SELECT n, 1 + pg_temp.pick('vp' || n, 84), 1 + pg_temp.pick('vv' || n, 8), v.day,
       (ARRAY['checkup','checkup','checkup','vaccination','vaccination','surgery','injury','dental','emergency'])[1 + pg_temp.pick('vr' || n, 9)],
       CASE WHEN v.day > CURRENT_DATE THEN 'booked'
            ELSE (ARRAY['completed','completed','completed','completed','completed','completed','no_show','cancelled'])[1 + pg_temp.pick('vs' || n, 8)] END::visit_status,
       (15 * (1 + pg_temp.pick('vm' || n, 8))), (ARRAY[0,0,0,0,5,10,15,25])[1 + pg_temp.pick('vd' || n, 8)]
FROM generate_series(1, 1500) AS n, LATERAL (SELECT CURRENT_DATE - 730 + pg_temp.pick('vt' || n, 760) AS day) AS v;

INSERT INTO charges
SELECT row_number() OVER (ORDER BY v.id, line), v.id, i.item, i.kind, 1 + pg_temp.pick('cq' || v.id || '-' || line, i.most),
       round((i.price * (0.9 + pg_temp.pick('cp' || v.id || '-' || line, 30) / 100.0))::numeric, 2), v.visited_on, v.visited_on + 30,
       CASE WHEN pg_temp.pick('cu' || v.id || '-' || line, 7) > 0 AND v.visited_on + p.days <= CURRENT_DATE THEN v.visited_on + p.days END
FROM visits v
CROSS JOIN generate_series(1, 3) AS line
JOIN (VALUES (0,'Consultation','service',1,55.0),(1,'X-ray','lab',2,120.0),(2,'Blood panel','lab',1,85.0),(3,'Antibiotics','medicine',3,18.5),
             (4,'Painkillers','medicine',4,9.9),(5,'Teeth cleaning','service',1,210.0),(6,'Anesthesia','service',1,160.0),(7,'Diet kibble','food',5,32.0),
             (8,'Flea drops','medicine',2,24.0),(9,'Nail trim','service',1,15.0)) AS i (k, item, kind, most, price)
  ON i.k = pg_temp.pick('ci' || v.id || '-' || line, 10),
LATERAL (SELECT pg_temp.pick('cd' || v.id || '-' || line, 55) AS days) AS p
WHERE v.status = 'completed' AND (line = 1 OR pg_temp.pick('ck' || v.id || '-' || line, 3) > 0);

INSERT INTO vaccinations
SELECT n, 1 + pg_temp.pick('sp' || n, 88), (ARRAY['Rabies','Distemper','Parvovirus','Feline leukemia','Kennel cough'])[1 + pg_temp.pick('sv' || n, 5)],
       g.day, g.day + (ARRAY[365,365,1095])[1 + pg_temp.pick('se' || n, 3)]
FROM generate_series(1, 420) AS n, LATERAL (SELECT CURRENT_DATE - pg_temp.pick('sg' || n, 1000) AS day) AS g;

ANALYZE;
