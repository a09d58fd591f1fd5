"""Draws the figures of the documentation as SVG: python docs/images/drawings.py. A test compares the files with what it draws."""

from pathlib import Path
from typing import NamedTuple, TypeAlias
from xml.sax.saxutils import escape

Point: TypeAlias = tuple[float, float]

HERE = Path(__file__).parent
# Tints of colours that the colour-blind can tell apart; lines of the same kind are darker. Shapes and words say the same.
FILL = {"data": "#ffffff", "image": "#d6e9f5", "mask": "#fbe3d1", "both": "#e3f1e4", "edge": "#f3e2ee", "out": "#fff7cc"}
LINE = {"data": "#444444", "image": "#0072b2", "mask": "#c04f00", "both": "#00775a", "edge": "#a3527f", "out": "#8a6d00"}


class Box(NamedTuple):
    """A rectangle: left, top, width, height, in SVG pixels."""

    x: float
    y: float
    w: float
    h: float

    def left(self, share: float = 0.5) -> Point:
        """A point on the left side, from the top (0) to the bottom (1)."""
        return self.x, self.y + share * self.h

    def right(self, share: float = 0.5) -> Point:
        """A point on the right side."""
        return self.x + self.w, self.y + share * self.h

    def top(self, share: float = 0.5) -> Point:
        """A point on the top side, from left (0) to right (1)."""
        return self.x + share * self.w, self.y

    def bottom(self, share: float = 0.5) -> Point:
        """A point on the bottom side."""
        return self.x + share * self.w, self.y + self.h


class Drawing:
    """An SVG file on white ground, readable on a light page and on a dark one.

    Args:
        width: in pixels.
        height: in pixels.
        title: what the picture shows, for those who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        markers = "".join(
            f'<marker id="{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0.5 8 4 0 7.5z" fill="{colour}"/></marker>'
            for kind, colour in LINE.items()
        )
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" font-size="12" role="img">',
            f"<title>{escape(title)}</title>",
            f"<defs>{markers}</defs>",
            f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        ]

    def box(self, x: float, y: float, w: float, h: float, kind: str, head: str, *lines: str) -> Box:
        """A box with a bold first line."""
        dashes = ' stroke-dasharray="5 3"' if kind == "data" else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5" fill="{FILL[kind]}" stroke="{LINE[kind]}"{dashes}/>'
        )
        first = y + h / 2 - 7.5 * len(lines)
        for number, line in enumerate((head, *lines)):
            self.text(x + w / 2, first + 15 * number, line, anchor="middle", bold=number == 0)
        return Box(x, y, w, h)

    def text(self, x: float, y: float, line: str, *, anchor: str = "start", bold: bool = False, colour: str = "#222222") -> None:
        """A line of text whose middle is at y."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(f'<text x="{x}" y="{y + 4}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(line)}</text>')

    def arrow(self, kind: str, *points: Point, label: str = "", at: Point | None = None, anchor: str = "start") -> None:
        """An arrow along points, with a label at a place."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{LINE[kind]}" stroke-width="1.6" marker-end="url(#{kind})"/>'
        )
        if label and at:
            self.text(*at, label, colour=LINE[kind], anchor=anchor)

    def sign(self, x: float, y: float, sign: str) -> None:
        """A round sign such as +, whose middle is at (x, y)."""
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="11" fill="{FILL["both"]}" stroke="{LINE["both"]}"/>')
        self.text(x, y, sign, anchor="middle", bold=True)

    def frame(self, x: float, y: float, w: float, h: float, kind: str, label: str) -> None:
        """A frame around boxes, with a label at its upper left corner."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="8" fill="none" stroke="{LINE[kind]}" stroke-dasharray="2 4"/>'
        )
        self.text(x + 10, y + 13, label, colour=LINE[kind])

    def view(self, x: float, y: float, kind: str, turns: int, mirror: bool, bite: int) -> None:
        """A view of a scene: an L-shaped building, turned and mirrored, and a mask of it that lacks a corner."""
        turned = f"translate({x + 20} {y + 20}) rotate({90 * turns}) scale({-1 if mirror else 1} 1) translate(-20 -20)"
        masks = ("8,6 22,6 22,20 30,20 30,36 8,36", "8,6 24,6 24,22 34,22 34,30 8,30", "12,10 24,10 24,18 34,18 34,34 8,34")
        self.parts.append(
            f'<g transform="{turned}"><rect width="40" height="40" fill="#eeeeee" stroke="#777777"/>'
            f'<polygon points="{masks[bite]}" fill="{FILL[kind]}" stroke="{LINE[kind]}"/>'
            '<polygon points="8,6 24,6 24,20 34,20 34,34 8,34" fill="none" stroke="#222222" stroke-dasharray="2 2"/></g>'
        )

    @property
    def svg(self) -> str:
        """The file's content."""
        return "\n".join([*self.parts, "</svg>\n"])


def prediction() -> Drawing:
    """From image and masks to maps, layers, tables and the page."""
    d = Drawing(1000, 480, "How predict.py goes from an image and masks to maps, layers, tables and a page")
    image = d.box(20, 40, 130, 46, "image", "image", "any size and CRS")
    mask = d.box(20, 110, 130, 46, "mask", "masks", "rasters or polygons")
    scene = d.box(200, 64, 150, 68, "both", "scene", "masks on the image's", "grid, valid pixels")
    windows = d.box(400, 64, 150, 68, "both", "windows", "640 px, which overlap", "by 128")
    encode = d.box(610, 40, 160, 46, "image", "encode_image", "once per window")
    assess = d.box(610, 110, 160, 46, "both", "assess", "once per mask")
    blend = d.box(830, 64, 150, 68, "both", "blend", "four probabilities of", "overlapping windows")
    d.arrow("image", image.right(), (175, 63), (175, 86), scene.left(0.32))
    d.arrow("mask", mask.right(), (175, 133), (175, 110), scene.left(0.68))
    d.arrow("both", scene.right(), windows.left())
    d.arrow("image", windows.right(0.3), (580, 84.4), (580, 63), encode.left())
    d.arrow("mask", windows.right(0.7), (580, 111.6), (580, 133), assess.left())
    d.arrow("image", encode.bottom(), assess.top())
    d.arrow("both", assess.right(), (800, 133), (800, 98), blend.left())

    d.frame(390, 186, 590, 116, "both", "per band of rows and mask, as soon as no further window reaches it")
    decide = d.box(830, 214, 130, 68, "both", "decide", "cuts of FP and FN:", "quality, refined")
    calibrate = d.box(640, 214, 150, 68, "both", "calibrate and count", "error probability,", "sums per review tile")
    store = d.box(405, 214, 195, 68, "data", "<name>/.work", "a file per band, whole or", "not at all; a rerun goes on")
    d.arrow("both", (895, 132), decide.top())
    d.arrow("both", decide.left(), calibrate.right())
    d.arrow("both", calibrate.left(), store.right())
    gather = d.box(200, 214, 150, 68, "both", "gather", "once, from top", "to bottom")
    d.arrow("both", store.left(), gather.right())

    maps = d.box(20, 350, 200, 68, "out", "maps", "quality.tif, error.tif,", "refined.tif")
    layers = d.box(240, 350, 200, 68, "out", "layers", "errors.gpkg (areas, rims),", "objects.gpkg")
    tables = d.box(460, 350, 240, 68, "out", "tables", "tiles.csv, objects.csv, scores.json;", "scores.csv, worst mask first")
    page = d.box(740, 350, 240, 68, "out", "page and pictures", "report.html, worst tile first;", "panel.png")
    for place in (maps, layers, tables, page):
        d.arrow("out", gather.bottom(), (275, 324), (place.top()[0], 324), place.top())
    legend = {"image": "image", "mask": "mask", "both": "both", "data": "kept until all is written", "out": "left in output_dir"}
    for x, (kind, label) in zip((20, 130, 240, 350, 550), legend.items(), strict=True):
        d.box(x, 444, 20, 16, kind, "")
        d.text(x + 28, 452, label)
    return d


def compact() -> Drawing:
    """The compact composition."""
    d = Drawing(1070, 540, "assessor=compact: what is computed once per image, what the mask joins, and how logits come about")
    d.frame(10, 12, 800, 162, "image", "once per image (encode_image)")
    image = d.box(20, 75, 90, 44, "image", "image")
    encoder = d.box(145, 60, 165, 74, "image", "encoder", "embedding at stride 16,", "levels at strides 4 to 32")
    decoder = d.box(370, 60, 150, 74, "image", "pixel decoder", "stride 16 to 4, skips", "at strides 4 and 8")
    edges = d.box(630, 38, 160, 46, "edge", "edge head", "boundary of the truth")
    objects = d.box(630, 112, 160, 46, "image", "object head", "the truth, by the image")
    d.arrow("image", image.right(), encoder.left())
    d.arrow("image", encoder.right(), decoder.left())
    d.arrow("image", decoder.right(0.4), (560, 89.6), (560, 61), edges.left(), label="48 channels", at=(525, 46), anchor="start")
    d.arrow("image", decoder.right(0.6), (560, 104.4), (560, 135), objects.left())

    mask = d.box(20, 418, 90, 44, "mask", "mask")
    pyramid = d.box(150, 398, 150, 84, "mask", "mask pyramid", "encoded at full", "resolution")
    d.arrow("mask", mask.right(), pyramid.left())
    d.sign(225, 232, "+")
    d.arrow("image", (225, 134), (225, 221), label="embedding", at=(216, 205), anchor="end")
    d.arrow("mask", pyramid.top(), (225, 243), label="stride 16", at=(232, 330))
    transformer = d.box(280, 200, 180, 64, "both", "two-way transformer", "between 4 class tokens", "and image + mask")
    d.arrow("both", (236, 232), transformer.left())
    heads = d.box(495, 195, 95, 46, "both", "class heads", "one per token")
    d.arrow("both", transformer.right(0.28), heads.left())

    seen = "pixels, transformer, mask,", "P(object), and where", "object and mask differ"
    compare = d.box(620, 280, 180, 92, "both", "compare", *seen)
    d.arrow("both", transformer.bottom(), (370, 318), compare.left(0.41), label="stride 16 to 4", at=(400, 308))
    d.arrow("image", (560, 135), (560, 180), (606, 180), (606, 300), compare.left(0.22))
    d.arrow("image", objects.bottom(), compare.top())
    d.arrow("mask", pyramid.right(0.2), (560, 414.8), (560, 345), compare.left(0.71), label="stride 4", at=(320, 405))

    d.sign(840, 326, "·")
    d.arrow("both", compare.right(), (829, 326))
    d.arrow("both", heads.right(), (840, 218), (840, 315), label="48 weights", at=(718, 207))
    d.sign(890, 326, "+")
    d.arrow("both", (851, 326), (879, 326))
    d.arrow("image", objects.right(), (890, 135), (890, 315), label="± logit", at=(844, 125))
    d.text(812, 352, "to full size", colour=LINE["both"])
    gate = d.box(930, 300, 120, 52, "both", "edge gate", "x + x · σ(edge)")
    d.arrow("both", (901, 326), gate.left())
    d.arrow("edge", edges.right(), (990, 61), gate.top())
    full = d.box(930, 392, 120, 60, "both", "full head", "sees edge, object", "and mask too")
    d.arrow("both", (985, 352), full.top(0.46))
    d.arrow("mask", pyramid.right(0.8), (880, 465.2), (880, 430), full.left(0.63), label="stride 1", at=(320, 455))
    d.sign(985, 480, "+")
    d.arrow("both", full.bottom(0.46), (985, 469))
    d.arrow("both", gate.right(0.7), (1060, 336.4), (1060, 480), (996, 480))
    quality = d.box(770, 492, 160, 38, "out", "quality logits", "4 x H x W")
    d.arrow("out", (985, 491), (985, 511), quality.right())
    return d


def published() -> Drawing:
    """The paper's composition."""
    d = Drawing(1120, 480, "assessor=segassess: the paper's composition with edge branch, semantic filter and HQ tokens")
    d.frame(10, 10, 900, 268, "image", "once per image (encode_image)")
    image = d.box(20, 96, 90, 44, "image", "image", "[0, 1]")
    vit = "SAM's ViT at stride 16;", "levels: outputs of its", "4 global blocks"
    encoder = d.box(150, 76, 150, 84, "image", "image encoder", *vit)
    d.arrow("image", image.right(), encoder.left())
    d.frame(350, 34, 545, 150, "edge", "edge branch (EGC)")
    sides = d.box(562, 54, 156, 46, "edge", "3 side heads", "stride 16 to 4")
    semantic = d.box(360, 108, 175, 68, "edge", "semantic filter (ASF)", "CBAM, strips (1,3) (3,1)", "(1,5) (5,1), atrous")
    deepest = d.box(562, 112, 156, 60, "edge", "2 side heads", "an edge map, and a", "weight per edge map")
    total = d.box(750, 76, 135, 64, "edge", "weighted sum", "of 4 edge maps,", "pixel by pixel")
    d.arrow("image", encoder.right(0.1), (330, 84.4), (330, 77), sides.left(), label="levels 1 to 3", at=(370, 67))
    d.arrow("image", encoder.right(0.78), semantic.left())
    d.text(303, 130, "level 4", colour=LINE["image"])
    d.arrow("edge", semantic.right(), deepest.left())
    d.arrow("edge", sides.right(), (730, 77), (730, 97), total.left(0.33))
    d.arrow("edge", deepest.right(), (730, 142), (730, 120), total.left(0.68))
    hq = d.box(365, 206, 160, 52, "image", "HQ features", "embedding and level 1")
    d.arrow("image", encoder.bottom(0.8), (270, 232), hq.left())

    mask = d.box(20, 398, 90, 44, "mask", "mask")
    prompt = d.box(140, 382, 170, 76, "mask", "prompt encoder", "at stride 4, of which a", "quarter reaches stride 16")
    d.arrow("mask", mask.right(), prompt.left())
    d.sign(225, 330, "+")
    d.arrow("image", encoder.bottom(), (225, 319), label="embedding", at=(216, 295), anchor="end")
    d.arrow("mask", prompt.top(), (225, 341))
    transformer = d.box(345, 298, 195, 64, "both", "two-way transformer", "between 4 class, 4 HQ tokens", "and image + mask")
    d.arrow("both", (236, 330), transformer.left())
    upscaled = d.box(570, 298, 140, 64, "both", "upscaling", "stride 16 to 4")
    d.arrow("both", transformer.right(), upscaled.left())
    fine = d.box(750, 296, 150, 52, "both", "+, convolutions", "· HQ tokens")
    plain = d.box(750, 378, 150, 46, "both", "· class tokens", "as in SAM")
    d.arrow("both", upscaled.right(0.4), fine.left(0.53))
    d.arrow("both", upscaled.right(0.7), (730, 342.8), (730, 401), plain.left())
    d.arrow("image", hq.right(), (825, 232), fine.top())
    d.sign(935, 350, "+")
    d.arrow("both", fine.right(), (935, 322), (935, 339))
    d.arrow("both", plain.right(), (935, 401), (935, 361))
    fusion = d.box(962, 318, 154, 64, "both", "fusion, full size", "x + x · σ(edge), then a", "gate among classes")
    d.arrow("both", (946, 350), fusion.left())
    d.arrow("edge", total.right(), (1039, 108), fusion.top(), label="edge logits", at=(945, 98))
    quality = d.box(969, 424, 140, 40, "out", "quality logits", "4 x H x W")
    d.arrow("out", fusion.bottom(), quality.top())
    return d


def sampling() -> Drawing:
    """Cross-fitting and Augmented Mixup Sampling."""
    d = Drawing(1000, 620, "Cross-fitting by folds, and Augmented Mixup Sampling: a view per source, turned, mirrored, mixed")
    d.text(20, 20, "Cross-fitting, once per segmenter: no network draws a training mask of an image that it saw", bold=True)
    fold0 = d.box(20, 45, 170, 44, "image", "fold 0", "training tiles, by group")
    fold1 = d.box(20, 125, 170, 44, "image", "fold 1", "training tiles, by group")
    net1 = d.box(330, 45, 190, 44, "both", "fold1.safetensors", "has seen fold 0 only")
    net0 = d.box(330, 125, 190, 44, "both", "fold0.safetensors", "has seen fold 1 only")
    net = d.box(330, 205, 190, 44, "both", "full.safetensors", "has seen all training tiles")
    mask1 = d.box(680, 45, 300, 44, "mask", "masks of fold 1", "to train the assessor on")
    mask0 = d.box(680, 125, 300, 44, "mask", "masks of fold 0", "to train the assessor on")
    mask = d.box(680, 205, 300, 44, "mask", "masks of valid, test and new images", "to select, report and use")
    for tiles, network in ((fold0, net1), (fold1, net0)):
        d.arrow("image", tiles.right(), network.left(), label="learns", at=(232, tiles.y + 12))
        d.arrow("image", tiles.right(0.8), (215, tiles.right(0.8)[1]), (215, 227), net.left())
    for network, drawn in ((net1, mask1), (net0, mask0), (net, mask)):
        d.arrow("mask", network.right(), drawn.left(), label="draws", at=(582, network.y + 12))

    d.text(20, 296, "Augmented Mixup Sampling, at every step: a view per source, all views of the batch mixed", bold=True)
    kinds = ("mask", "edge", "both", "image")
    sources = ("deeplabv3plus", "transunet", "hrnet", "unetformer")
    for column, source in enumerate(sources):
        d.text(300 + 90 * column, 325, source, anchor="middle", colour=LINE[kinds[column]])
    turned = (((0, False), (1, False), (2, True), (3, False)), ((3, True), (0, True), (1, False), (2, False)))
    for row, views in enumerate(turned):
        y = 345 + 70 * row
        tile = d.box(20, y, 170, 44, "image", f"image {row + 1}", "and its truth")
        d.arrow("image", tile.right(), (268, y + 22))
        for column, (turns, mirror) in enumerate(views):
            d.view(280 + 90 * column, y + 2, kinds[column], turns, mirror, (row + column) % 3)
    d.text(280, 482, "each view is turned by quarters and mirrored on its own;")
    d.text(280, 498, "filled: the mask by the source, dashed: the truth")
    d.arrow("both", (605, 400), (712, 400), label="one permutation", at=(604, 388))
    d.frame(718, 330, 268, 150, "both", "a batch: images x sources")
    order = ((0, 2), (1, 0), (0, 3), (1, 1), (1, 3), (0, 1), (1, 2), (0, 0))
    for place, (row, column) in enumerate(order):
        turns, mirror = turned[row][column]
        d.view(734 + 62 * (place % 4), 358 + 56 * (place // 4), kinds[column], turns, mirror, (row + column) % 3)
    unseen = d.box(20, 540, 210, 52, "data", "held out: ocrnet, raw", "never in training or selection")
    evaluation = d.box(330, 540, 190, 52, "out", "evaluation", "the unseen sources")
    d.arrow("data", unseen.right(), evaluation.left())
    return d


DRAWINGS = {"prediction": prediction, "compact": compact, "segassess": published, "sampling": sampling}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (HERE / f"{name}.svg").write_text(draw().svg)
