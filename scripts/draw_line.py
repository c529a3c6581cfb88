#!/usr/bin/env python3
"""Draw a line of text as the pictures in crates/driver/examples/pictures are.

    python3 scripts/draw_line.py TEXT OUT.png [--font FILE]        (needs: pip install pillow)

Without --font the font is Aileron, which Pillow brings along and which is in the public domain (CC0).
"""
import argparse

from PIL import Image, ImageDraw, ImageFont

SIZE, MARGIN = 36, 8
INK, PAPER = (34, 40, 49), (250, 247, 240)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("out")
    parser.add_argument("--font", metavar="FILE")
    options = parser.parse_args()
    font = ImageFont.truetype(options.font, SIZE) if options.font else ImageFont.load_default(SIZE)
    left, top, right, bottom = font.getbbox(options.text)
    image = Image.new("RGB", (right - left + 2 * MARGIN, bottom - top + 2 * MARGIN), PAPER)
    ImageDraw.Draw(image).text((MARGIN - left, MARGIN - top), options.text, INK, font)
    image.quantize(16).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
