/* Pictures as binary PPM files (P6, 8 bits a colour). */
#ifndef PPM_H
#define PPM_H

#include <stdint.h>

struct picture {
    int width, height;
    uint8_t *rgb; /* row by row, three bytes a pixel */
};

/* Reads a picture, whose bytes the caller frees: 0, or -1 where the file is none. */
int ppm_read(const char *path, struct picture *picture);

/* Element of colour 0, 1 or 2 at a place between pixels, from 0 to 255: the mean of the four around it by their distances. */
float ppm_at(const struct picture *picture, float x, float y, int colour);

#endif
