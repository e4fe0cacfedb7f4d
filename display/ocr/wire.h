/* What the daemon and deskfarm-ocr, its helper that reads text, say to each other over a stream
 * socket. One request at a time: a head, and with it a memfd that holds the picture as grey bytes,
 * row by row without gaps. One reply: a head and its records. Both ends run on one machine, so
 * numbers are in host order; the daemon believes nothing of a reply. */
#pragma once

#include "display/words.h"

#define OCR_HELPER_FD 3
#define OCR_SIDE_MAX FRAME_SIZE_MAX
#define OCR_PIXELS_MAX (FRAME_BYTES_MAX / 4)
#define OCR_REPLY_MAX ((size_t)WORDS_MAX * (20 + WORD_TEXT_MAX))

struct ocr_request {
    uint32_t magic, id;
    int32_t width, height;
};

struct ocr_reply {
    uint32_t magic, id;
    uint32_t n_words, size; /* of the records that follow */
};

#define OCR_MAGIC 0x3152434fu

/* Helper's end. A record: x, y, width, height, confidence (int32_t each), then one byte of size and
 * the text. False: it does not fit any more. */
bool ocr_wire_add(struct buf *out, const struct word *word);

/* Daemon's end. Positive OCR_MORE: not all of it has come. Else 0 with *ret allocated (NULL for no
 * words), *ret_n of them, all inside width x height; or -EPROTO. */
enum { OCR_MORE = 1 };
int ocr_wire_read(const void *data, size_t size, uint32_t id, int width, int height, struct word **ret,
                  int *ret_n);
