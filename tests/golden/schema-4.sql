-- The study of schema-1.sql as version 4 left it: before labels of other studies brought their encoder along.
BEGIN TRANSACTION;
CREATE TABLE accounts (
	name VARCHAR(64) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	password_hash VARCHAR(200) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	disabled_at VARCHAR(32), 
	PRIMARY KEY (name)
);
INSERT INTO "accounts" VALUES('ada','annotator','$argon2id$v=19$m=65536,t=3,p=4$+FabqpYDSz/nRZTUF2oTaw$F9Fu+m54Ou1qZvkieG4lBG6J/fzk2BFBwzoM4yIQP/I','2026-11-24T13:50:09.706161+00:00',NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE api_tokens (
	id INTEGER NOT NULL, 
	token_sha256 VARCHAR(64) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	purpose VARCHAR(64) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	created_by VARCHAR(64) NOT NULL, 
	expires_at VARCHAR(32) NOT NULL, 
	seen_at VARCHAR(32), 
	revoked_at VARCHAR(32), 
	PRIMARY KEY (id), 
	UNIQUE (token_sha256), 
	FOREIGN KEY(account) REFERENCES accounts (name)
);
CREATE TABLE assignments (
	id INTEGER NOT NULL, 
	cell_id VARCHAR(20) NOT NULL, 
	annotator VARCHAR(64) NOT NULL, 
	arm VARCHAR(16) NOT NULL, 
	served_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE TABLE blind_slides (
	slide_id VARCHAR(20) NOT NULL, 
	chosen_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (slide_id), 
	FOREIGN KEY(slide_id) REFERENCES slides (id)
);
CREATE TABLE cell_planes (
	cell_id VARCHAR(20) NOT NULL, 
	z_um DOUBLE NOT NULL, 
	PRIMARY KEY (cell_id), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE TABLE cells (
	id VARCHAR(20) NOT NULL, 
	slide_id VARCHAR(20) NOT NULL, 
	x DOUBLE, 
	y DOUBLE, 
	crop_mpp DOUBLE, 
	source_width_px INTEGER, 
	source_height_px INTEGER, 
	origin VARCHAR(10) NOT NULL, 
	added_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(slide_id) REFERENCES slides (id)
);
INSERT INTO "cells" VALUES('CE-AAAAAAAAAAA00','SL-AAAAAAAAAAAAA',10.5,10.0,0.25,NULL,NULL,'imported','2026-11-24T13:50:09.528896+00:00');
INSERT INTO "cells" VALUES('CE-AAAAAAAAAAA01','SL-AAAAAAAAAAAAA',60.5,50.0,0.25,NULL,NULL,'imported','2026-11-24T13:50:09.528896+00:00');
INSERT INTO "cells" VALUES('CE-AAAAAAAAAAA02','SL-AAAAAAAAAAAAA',110.5,90.0,0.25,NULL,NULL,'imported','2026-11-24T13:50:09.528896+00:00');
INSERT INTO "cells" VALUES('CE-AAAAAAAAAAA03','SL-AAAAAAAAAAAAA',160.5,130.0,0.25,NULL,NULL,'imported','2026-11-24T13:50:09.528896+00:00');
CREATE TABLE disclosures (
	label_id INTEGER NOT NULL, 
	PRIMARY KEY (label_id), 
	FOREIGN KEY(label_id) REFERENCES labels (id)
);
CREATE TABLE events (
	seq INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "events" VALUES(1,'{"at":"2026-11-24T13:50:09.708085+00:00","by":"imported","chained_by":"upgrade 0002","kind":"labels","row":{"annotator":"imported","category":"NILM","cell_id":"CE-AAAAAAAAAAA00","comment":null,"confidence":null,"decided_at":null,"id":1,"key":"import:417f5bfad27cc7833e893a3e5d57ffa1e1cbcb92593769ecd7468ea85afaf038","made_at":"2026-11-24T13:50:09.708085+00:00","probe_id":null,"reason":null,"seconds":null,"step":null,"suggestion":null,"suggestion_probability":null,"suggestion_shown":false}}','54deb54c9fac128b6cfc90e852a6248e6d79ed8d0934567a30d04e56802b3e33');
INSERT INTO "events" VALUES(2,'{"at":"2026-11-24T13:50:09.715655+00:00","by":"ada","chained_by":"upgrade 0002","kind":"labels","row":{"annotator":"ada","category":"HSIL","cell_id":"CE-AAAAAAAAAAA01","comment":null,"confidence":null,"decided_at":"2026-11-24T13:50:09.528896+00:00","id":2,"key":"k1","made_at":"2026-11-24T13:50:09.715655+00:00","probe_id":null,"reason":null,"seconds":1.25,"step":null,"suggestion":null,"suggestion_probability":null,"suggestion_shown":false}}','7687963fd1aa8acf4015590705e01537619c6f938ec8b17887d58821223feeeb');
INSERT INTO "events" VALUES(3,'{"at":"2026-11-24T13:50:09.717791+00:00","by":"ada","chained_by":"upgrade 0002","kind":"labels","row":{"annotator":"ada","category":"LSIL","cell_id":"CE-AAAAAAAAAAA02","comment":null,"confidence":null,"decided_at":null,"id":3,"key":"k2","made_at":"2026-11-24T13:50:09.717791+00:00","probe_id":null,"reason":null,"seconds":null,"step":null,"suggestion":null,"suggestion_probability":null,"suggestion_shown":false}}','b8125ed4379b340c721c40a8e3d4b58fe6e91c1a992524b9970644226be4e64c');
INSERT INTO "events" VALUES(4,'{"at":"2026-11-24T13:50:09.720105+00:00","by":"ada","chained_by":"upgrade 0002","kind":"undos","row":{"annotator":"ada","id":1,"key":"u1","label_id":2,"made_at":"2026-11-24T13:50:09.720105+00:00"}}','2b5ceb391cddecdd8f52432680eacd99e73aa7a2bb9cc8f26276d22435b039fe');
CREATE TABLE exemplars (
	id INTEGER NOT NULL, 
	"key" VARCHAR(80) NOT NULL, 
	cell_id VARCHAR(20) NOT NULL, 
	category VARCHAR(64), 
	source VARCHAR(80) NOT NULL, 
	is_atlas BOOLEAN NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE TABLE finds (
	id INTEGER NOT NULL, 
	"key" VARCHAR(80) NOT NULL, 
	cell_id VARCHAR(20) NOT NULL, 
	annotator VARCHAR(64) NOT NULL, 
	x DOUBLE NOT NULL, 
	y DOUBLE NOT NULL, 
	width_px DOUBLE NOT NULL, 
	height_px DOUBLE NOT NULL, 
	z_um DOUBLE NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	UNIQUE (cell_id), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE TABLE identities (
	issuer VARCHAR(255) NOT NULL, 
	subject VARCHAR(255) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	linked_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (issuer, subject), 
	UNIQUE (account), 
	FOREIGN KEY(account) REFERENCES accounts (name)
);
CREATE TABLE labels (
	id INTEGER NOT NULL, 
	"key" VARCHAR(80) NOT NULL, 
	cell_id VARCHAR(20) NOT NULL, 
	annotator VARCHAR(64) NOT NULL, 
	category VARCHAR(64) NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	decided_at VARCHAR(32), 
	seconds DOUBLE, 
	reason VARCHAR(200), 
	suggestion VARCHAR(64), 
	suggestion_probability DOUBLE, 
	suggestion_shown BOOLEAN NOT NULL, 
	probe_id VARCHAR(64), confidence VARCHAR(10), comment VARCHAR(500), step VARCHAR(80), 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
INSERT INTO "labels" VALUES(1,'import:417f5bfad27cc7833e893a3e5d57ffa1e1cbcb92593769ecd7468ea85afaf038','CE-AAAAAAAAAAA00','imported','NILM','2026-11-24T13:50:09.708085+00:00',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "labels" VALUES(2,'k1','CE-AAAAAAAAAAA01','ada','HSIL','2026-11-24T13:50:09.715655+00:00','2026-11-24T13:50:09.528896+00:00',1.25,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "labels" VALUES(3,'k2','CE-AAAAAAAAAAA02','ada','LSIL','2026-11-24T13:50:09.717791+00:00',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
CREATE TABLE leases (
	cell_id VARCHAR(20) NOT NULL, 
	annotator VARCHAR(64) NOT NULL, 
	until VARCHAR(32) NOT NULL, 
	reason VARCHAR(200) NOT NULL, 
	suggestion VARCHAR(64), 
	suggestion_probability DOUBLE, 
	probe_id VARCHAR(64), 
	PRIMARY KEY (cell_id, annotator), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
INSERT INTO "leases" VALUES('CE-AAAAAAAAAAA01','ada','2026-11-24T14:00:09.720105+00:00','taken back',NULL,NULL,NULL);
CREATE TABLE nuclei (
	cell_id VARCHAR(20) NOT NULL, 
	left_um DOUBLE NOT NULL, 
	top_um DOUBLE NOT NULL, 
	width_um DOUBLE NOT NULL, 
	height_um DOUBLE NOT NULL, 
	confidence DOUBLE NOT NULL, 
	overlap DOUBLE NOT NULL, 
	PRIMARY KEY (cell_id), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE TABLE opinions (
	id INTEGER NOT NULL, 
	"key" VARCHAR(80) NOT NULL, 
	slide_id VARCHAR(20) NOT NULL, 
	annotator VARCHAR(64) NOT NULL, 
	adequacy VARCHAR(16), 
	zone VARCHAR(16), 
	category VARCHAR(64), 
	comment VARCHAR(500), 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(slide_id) REFERENCES slides (id)
);
CREATE TABLE preferences (
	account VARCHAR(64) NOT NULL, 
	language VARCHAR(8), 
	keys JSON NOT NULL, 
	PRIMARY KEY (account), 
	FOREIGN KEY(account) REFERENCES accounts (name)
);
CREATE TABLE probes (
	number INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	encoder_fingerprint VARCHAR(64) NOT NULL, 
	last_label_id INTEGER NOT NULL, 
	num_labels INTEGER NOT NULL, 
	classes JSON NOT NULL, 
	settings JSON NOT NULL, 
	metrics JSON NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
CREATE TABLE scans (
	slide_id VARCHAR(20) NOT NULL, 
	info JSON NOT NULL, 
	PRIMARY KEY (slide_id), 
	FOREIGN KEY(slide_id) REFERENCES slides (id)
);
CREATE TABLE searches (
	slide_id VARCHAR(20) NOT NULL, 
	version INTEGER NOT NULL, 
	tiles_done INTEGER NOT NULL, 
	tiles INTEGER NOT NULL, 
	unreadable_tiles INTEGER NOT NULL, 
	cells INTEGER NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (slide_id), 
	FOREIGN KEY(slide_id) REFERENCES slides (id)
);
CREATE TABLE sign_in_failures (
	name_sha256 VARCHAR(64) NOT NULL, 
	count INTEGER NOT NULL, 
	last_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (name_sha256)
);
CREATE TABLE sign_ins (
	token_sha256 VARCHAR(64) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	csrf_token VARCHAR(64) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	seen_at VARCHAR(32) NOT NULL, 
	ended_at VARCHAR(32), 
	PRIMARY KEY (token_sha256), 
	FOREIGN KEY(account) REFERENCES accounts (name)
);
CREATE TABLE slides (
	id VARCHAR(20) NOT NULL, 
	kind VARCHAR(10) NOT NULL, 
	sha256 VARCHAR(64), 
	width_px INTEGER, 
	height_px INTEGER, 
	mpp DOUBLE, 
	mpp_source VARCHAR(40) NOT NULL, 
	added_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "slides" VALUES('SL-AAAAAAAAAAAAA','field','0000000000000000000000000000000000000000000000000000000000000000',400,300,0.25,'given','2026-11-24T13:50:09.528896+00:00');
CREATE TABLE undos (
	id INTEGER NOT NULL, 
	"key" VARCHAR(80) NOT NULL, 
	label_id INTEGER NOT NULL, 
	annotator VARCHAR(64) NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	UNIQUE (label_id), 
	FOREIGN KEY(label_id) REFERENCES labels (id)
);
INSERT INTO "undos" VALUES(1,'u1',2,'ada','2026-11-24T13:50:09.720105+00:00');
CREATE TABLE verdicts (
	id INTEGER NOT NULL, 
	"key" VARCHAR(80) NOT NULL, 
	cell_id VARCHAR(20) NOT NULL, 
	adjudicator VARCHAR(64) NOT NULL, 
	category VARCHAR(64), 
	comment VARCHAR(500), 
	label_ids JSON NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key"), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE TABLE work_orders (
	id INTEGER NOT NULL, 
	wanted JSON NOT NULL, 
	made_by VARCHAR(64) NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE worklist_items (
	rank INTEGER NOT NULL, 
	cell_id VARCHAR(20) NOT NULL, 
	arm VARCHAR(16) NOT NULL, 
	reads INTEGER NOT NULL, 
	reason VARCHAR(200) NOT NULL, 
	score DOUBLE NOT NULL, 
	suggestion VARCHAR(64), 
	suggestion_probability DOUBLE, 
	probe_id VARCHAR(64), 
	PRIMARY KEY (rank), 
	UNIQUE (cell_id), 
	FOREIGN KEY(cell_id) REFERENCES cells (id)
);
CREATE INDEX cells_by_slide ON cells (slide_id);
CREATE INDEX labels_by_cell ON labels (cell_id);
CREATE INDEX labels_by_annotator ON labels (annotator);
CREATE TRIGGER labels_no_update BEFORE UPDATE ON labels BEGIN SELECT RAISE(ABORT, 'labels are only ever added'); END;
CREATE TRIGGER labels_no_delete BEFORE DELETE ON labels BEGIN SELECT RAISE(ABORT, 'labels are only ever added'); END;
CREATE INDEX leases_by_annotator ON leases (annotator);
CREATE TRIGGER undos_no_update BEFORE UPDATE ON undos BEGIN SELECT RAISE(ABORT, 'undos are only ever added'); END;
CREATE TRIGGER undos_no_delete BEFORE DELETE ON undos BEGIN SELECT RAISE(ABORT, 'undos are only ever added'); END;
CREATE INDEX labels_by_cell_and_annotator ON labels (cell_id, annotator);
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END;
CREATE INDEX verdicts_by_cell ON verdicts (cell_id);
CREATE TRIGGER verdicts_no_update BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts are only ever added'); END;
CREATE TRIGGER verdicts_no_delete BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts are only ever added'); END;
CREATE INDEX assignments_by_annotator ON assignments (annotator, cell_id);
CREATE INDEX exemplars_by_cell ON exemplars (cell_id);
CREATE TRIGGER exemplars_no_update BEFORE UPDATE ON exemplars BEGIN SELECT RAISE(ABORT, 'exemplars are only ever added'); END;
CREATE TRIGGER exemplars_no_delete BEFORE DELETE ON exemplars BEGIN SELECT RAISE(ABORT, 'exemplars are only ever added'); END;
CREATE TRIGGER finds_no_update BEFORE UPDATE ON finds BEGIN SELECT RAISE(ABORT, 'finds are only ever added'); END;
CREATE TRIGGER finds_no_delete BEFORE DELETE ON finds BEGIN SELECT RAISE(ABORT, 'finds are only ever added'); END;
CREATE INDEX opinions_by_slide ON opinions (slide_id, annotator);
CREATE TRIGGER opinions_no_update BEFORE UPDATE ON opinions BEGIN SELECT RAISE(ABORT, 'opinions are only ever added'); END;
CREATE TRIGGER opinions_no_delete BEFORE DELETE ON opinions BEGIN SELECT RAISE(ABORT, 'opinions are only ever added'); END;
COMMIT;
PRAGMA user_version = 4;
