"""Reading and writing video: the only room that knows PyAV.

Frames stream, one at a time, upright, with the time their own file gives them:

    with VideoReader("walk.mp4") as video, VideoWriter(Path("copy.mp4"), (video.width, video.height)) as copy:
        for frame in video:
            copy.write(frame.image, frame.time)
"""

from vidpose.video.reading import VideoFrame, VideoReader
from vidpose.video.time_range import chosen_times, parse_length, parse_time, parse_time_range
from vidpose.video.writing import VideoWriter

__all__ = ["VideoFrame", "VideoReader", "VideoWriter", "chosen_times", "parse_length", "parse_time", "parse_time_range"]
