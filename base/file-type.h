/* What kind of file a mode tells of, in the word that answers of the API have for it. */
#pragma once

/* "file", "directory", "link", "fifo", "socket" or "device". mode as in struct stat. */
const char *file_type_name(unsigned mode);
