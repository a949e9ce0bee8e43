import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Bytes that both sides can make, so that no content crosses the pipe: splitmix64, little endian. */
final class Content {
    private Content() {
    }

    static ByteBuffer of(long seed, int len) {
        var words = ByteBuffer.allocate((len + 7) / 8 * 8).order(ByteOrder.LITTLE_ENDIAN);
        var state = seed;
        while (words.hasRemaining()) {
            state += 0x9e3779b97f4a7c15L;
            var word = (state ^ (state >>> 30)) * 0xbf58476d1ce4e5b9L;
            word = (word ^ (word >>> 27)) * 0x94d049bb133111ebL;
            words.putLong(word ^ (word >>> 31));
        }
        return words.flip().limit(len);
    }
}
