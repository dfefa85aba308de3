-- A little of what a v5 database holds: every version of a document names its image again.
CREATE TABLE app_images_archives (
    image_archive_id integer PRIMARY KEY,
    filename varchar(30),
    has_svg boolean
);
INSERT INTO app_images_archives (image_archive_id, filename, has_svg) VALUES
    (1, '1162302513_1541936229.jpg', false),
    (2, '1269453012_77.jpg', false),
    (3, '1162302513_1541936229.jpg', false),
    (4, '1309872451_40318.png', NULL),
    (5, '1334918220_903.jpg', true);
