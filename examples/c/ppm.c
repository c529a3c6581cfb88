#include "ppm.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_PIXELS_A_SIDE 16384

/* The next number of the header, behind spaces and comments; -1 where there is none. */
static int header_number(FILE *file) {
    int c = getc(file);
    while (isspace(c) || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF) c = getc(file);
        c = getc(file);
    }
    int number = -1;
    for (; isdigit(c) && number <= MOST_PIXELS_A_SIDE; c = getc(file)) number = (number < 0 ? 0 : number) * 10 + (c - '0');
    return number;
}

static int read_from(FILE *file, struct picture *picture) {
    if (getc(file) != 'P' || getc(file) != '6') return -1;
    int width = header_number(file), height = header_number(file), most = header_number(file);
    if (width < 1 || height < 1 || width > MOST_PIXELS_A_SIDE || height > MOST_PIXELS_A_SIDE || most != 255) return -1;
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *rgb = malloc(bytes);
    if (!rgb || fread(rgb, 1, bytes, file) != bytes) {
        free(rgb);
        return -1;
    }
    *picture = (struct picture){width, height, rgb};
    return 0;
}

int ppm_read(const char *path, struct picture *picture) {
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    int result = read_from(file, picture);
    fclose(file);
    return result;
}

static float clamped(float value, float most) {
    return value < 0 ? 0 : value > most ? most : value;
}

float ppm_at(const struct picture *picture, float x, float y, int colour) {
    x = clamped(x, (float)(picture->width - 1));
    y = clamped(y, (float)(picture->height - 1));
    int left = (int)x, top = (int)y;
    int right = left + 1 < picture->width ? left + 1 : left, bottom = top + 1 < picture->height ? top + 1 : top;
    float across = x - (float)left, down = y - (float)top;
    const uint8_t *upper = picture->rgb + 3 * (size_t)top * (size_t)picture->width + colour;
    const uint8_t *lower = picture->rgb + 3 * (size_t)bottom * (size_t)picture->width + colour;
    float above = upper[3 * left] * (1 - across) + upper[3 * right] * across;
    float below = lower[3 * left] * (1 - across) + lower[3 * right] * across;
    return above * (1 - down) + below * down;
}
