-- Row-level security of the sample database: who logs in decides whose rows there are.
-- Applied after schema.sql by the loader; may run again at any time.
--
-- An organization reads through a login role of its own, plumbline_org_<id>. The policies ask for session_user, the role
-- that logged in: no statement, set_config and SET ROLE included, can change it. plumbline_reader sees every organization.
-- Any other role sees no row. Rows below a project follow it: the policy of projects holds in their subquery too.

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE projects      ENABLE ROW LEVEL SECURITY;
ALTER TABLE vendors       ENABLE ROW LEVEL SECURITY;
ALTER TABLE expenses      ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents     ENABLE ROW LEVEL SECURITY;
ALTER TABLE cashflow      ENABLE ROW LEVEL SECURITY;
ALTER TABLE materials     ENABLE ROW LEVEL SECURITY;
ALTER TABLE labor         ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS every_organization ON organizations;
DROP POLICY IF EXISTS every_organization ON projects;
DROP POLICY IF EXISTS every_organization ON vendors;
DROP POLICY IF EXISTS every_organization ON expenses;
DROP POLICY IF EXISTS every_organization ON documents;
DROP POLICY IF EXISTS every_organization ON cashflow;
DROP POLICY IF EXISTS every_organization ON materials;
DROP POLICY IF EXISTS every_organization ON labor;
CREATE POLICY every_organization ON organizations FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON projects      FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON vendors       FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON expenses      FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON documents     FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON cashflow      FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON materials     FOR SELECT TO plumbline_reader USING (true);
CREATE POLICY every_organization ON labor         FOR SELECT TO plumbline_reader USING (true);

DROP POLICY IF EXISTS own_organization ON organizations;
DROP POLICY IF EXISTS own_organization ON projects;
DROP POLICY IF EXISTS own_organization ON vendors;
DROP POLICY IF EXISTS own_organization ON expenses;
DROP POLICY IF EXISTS own_organization ON documents;
DROP POLICY IF EXISTS own_organization ON cashflow;
DROP POLICY IF EXISTS own_organization ON materials;
DROP POLICY IF EXISTS own_organization ON labor;
CREATE POLICY own_organization ON organizations FOR SELECT
    USING (id = substring(session_user::text FROM '^plumbline_org_([0-9]+)$')::integer);
CREATE POLICY own_organization ON projects FOR SELECT
    USING (organization_id = substring(session_user::text FROM '^plumbline_org_([0-9]+)$')::integer);
CREATE POLICY own_organization ON vendors FOR SELECT
    USING (organization_id = substring(session_user::text FROM '^plumbline_org_([0-9]+)$')::integer);
CREATE POLICY own_organization ON expenses  FOR SELECT USING (project_id IN (SELECT p.id FROM projects p));
CREATE POLICY own_organization ON documents FOR SELECT USING (project_id IN (SELECT p.id FROM projects p));
CREATE POLICY own_organization ON cashflow  FOR SELECT USING (project_id IN (SELECT p.id FROM projects p));
CREATE POLICY own_organization ON materials FOR SELECT USING (project_id IN (SELECT p.id FROM projects p));
CREATE POLICY own_organization ON labor     FOR SELECT USING (project_id IN (SELECT p.id FROM projects p));
