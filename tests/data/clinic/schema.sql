-- A veterinary practice with three clinics: the second schema, for the tutorial and the tests.
-- PostgreSQL 15+. Money is NUMERIC(10,2) in US dollars.

CREATE TYPE species      AS ENUM ('dog', 'cat', 'rabbit', 'bird', 'reptile');
CREATE TYPE visit_status AS ENUM ('booked', 'completed', 'no_show', 'cancelled');

CREATE TABLE clinics (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    city TEXT NOT NULL
);
COMMENT ON TABLE clinics IS 'Our three clinics';

CREATE TABLE owners (
    id        INTEGER PRIMARY KEY,
    full_name TEXT NOT NULL,
    town      TEXT NOT NULL,
    phone     TEXT NOT NULL,
    joined_on DATE NOT NULL
);
COMMENT ON TABLE owners IS 'People who bring animals to us';

CREATE TABLE pets (
    id        INTEGER PRIMARY KEY,
    owner_id  INTEGER NOT NULL REFERENCES owners (id),
    name      TEXT NOT NULL,
    species   species NOT NULL,
    breed     TEXT NOT NULL,
    born_on   DATE NOT NULL,
    weight_kg NUMERIC(5, 1) NOT NULL
);
COMMENT ON TABLE pets IS 'Animals that we treat';

CREATE TABLE vets (
    id          INTEGER PRIMARY KEY,
    clinic_id   INTEGER NOT NULL REFERENCES clinics (id),
    full_name   TEXT NOT NULL,
    specialty   TEXT NOT NULL CHECK (specialty IN ('general', 'surgery', 'dentistry', 'dermatology')),
    hourly_rate NUMERIC(6, 2) NOT NULL
);
COMMENT ON TABLE vets IS 'Veterinarians on our payroll';

CREATE TABLE visits (
    id               INTEGER PRIMARY KEY,
    pet_id           INTEGER NOT NULL REFERENCES pets (id),
    vet_id           INTEGER NOT NULL REFERENCES vets (id),
    visited_on       DATE NOT NULL,
    reason           TEXT NOT NULL CHECK (reason IN ('checkup', 'vaccination', 'surgery', 'injury', 'dental', 'emergency')),
    status           visit_status NOT NULL,
    minutes          INTEGER NOT NULL,
    discount_percent NUMERIC(5, 2) NOT NULL
);
COMMENT ON TABLE visits IS 'Appointments, past and booked';

CREATE TABLE charges (
    id         INTEGER PRIMARY KEY,
    visit_id   INTEGER NOT NULL REFERENCES visits (id),
    item       TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('service', 'medicine', 'lab', 'food')),
    quantity   INTEGER NOT NULL,
    unit_price NUMERIC(10, 2) NOT NULL,
    billed_on  DATE NOT NULL,
    due_on     DATE NOT NULL,
    paid_on    DATE
);
COMMENT ON TABLE charges IS 'Lines of our invoices';
COMMENT ON COLUMN charges.paid_on IS 'Empty while the line is not paid';

CREATE TABLE vaccinations (
    id         INTEGER PRIMARY KEY,
    pet_id     INTEGER NOT NULL REFERENCES pets (id),
    vaccine    TEXT NOT NULL,
    given_on   DATE NOT NULL,
    expires_on DATE NOT NULL
);
COMMENT ON TABLE vaccinations IS 'Shots given and how long they protect';
