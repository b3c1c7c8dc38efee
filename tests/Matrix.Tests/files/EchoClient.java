import java.io.DataInputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/** java.net.http, blocking sockets with threads and time-outs, and NIO against EchoServer. */
public class EchoClient {
    public static void main(String[] args) throws Exception {
        String host = args[0];
        HttpClient http = HttpClient.newHttpClient();
        var answers = IntStream.range(0, 50)
            .mapToObj(n -> http.sendAsync(HttpRequest.newBuilder(URI.create("http://" + host + ":9401/" + n)).build(), BodyHandlers.ofString()))
            .map(CompletableFuture::join).toList();
        System.out.print(answers.size() + " " + answers.get(49).statusCode() + " " + answers.get(49).body());
        byte[] post = new byte[4 << 20];
        for (int i = 0; i < post.length; i++) {
            post[i] = (byte) (i * 31 >> 3);
        }
        System.out.print(http.send(
            HttpRequest.newBuilder(URI.create("http://" + host + ":9401/post")).POST(HttpRequest.BodyPublishers.ofByteArray(post)).build(), BodyHandlers.ofString()).body());

        boolean[] same = new boolean[20];
        Thread[] threads = new Thread[same.length];
        for (int n = 0; n < threads.length; n++) {
            int me = n;
            threads[n] = new Thread(() -> same[me] = echo(host, me));
            threads[n].start();
        }
        for (Thread t : threads) {
            t.join();
        }
        System.out.println(IntStream.range(0, same.length).allMatch(n -> same[n]));

        try (SocketChannel channel = SocketChannel.open(new InetSocketAddress(host, 9402))) {
            channel.write(ByteBuffer.wrap("channel".getBytes()));
            ByteBuffer back = ByteBuffer.allocate(7);
            while (back.hasRemaining() && channel.read(back) >= 0) { }
            System.out.println(new String(back.array()));
            channel.socket().setSoTimeout(100);
            try {
                channel.socket().getInputStream().read();
            } catch (SocketTimeoutException e) {
                System.out.println("time-out");
            }
        }
        try {
            new Socket(host, 9499);
        } catch (Exception e) {
            System.out.println(e);
        }
    }

    private static boolean echo(String host, int n) {
        byte[] data = new byte[200_000], back = new byte[data.length];
        Arrays.fill(data, (byte) n);
        try (Socket socket = new Socket(host, 9402)) {
            Thread writer = new Thread(() -> {
                try {
                    socket.getOutputStream().write(data);
                } catch (Exception e) {
                    System.out.println(e);
                }
            });
            writer.start();
            new DataInputStream(socket.getInputStream()).readFully(back);
            writer.join();
            return Arrays.equals(data, back);
        } catch (Exception e) {
            System.out.println(e);
            return false;
        }
    }
}
